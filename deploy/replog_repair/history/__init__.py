"""The events of one record as the topic has them, what each of them changed, and the record as it was at a time."""
