"""Tests of the system as processes, over HTTP and the Kafka protocol."""
