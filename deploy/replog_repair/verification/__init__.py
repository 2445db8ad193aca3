"""The proof that a store is right: compared with the topic, or with another store, and with itself."""
