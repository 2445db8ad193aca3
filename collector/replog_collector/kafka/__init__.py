"""The collector's edge to Kafka: the consumer, where it starts, and dead letters."""
