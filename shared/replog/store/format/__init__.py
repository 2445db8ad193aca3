"""The format of the store: its keys, and what their values hold."""
