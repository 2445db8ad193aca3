"""The collector: folds the events of a Kafka consumer group into the store."""
