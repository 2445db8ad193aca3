"""The collector's edge to Kafka. Its ports are ``source`` and ``dead_letters``; the folders implement them."""
