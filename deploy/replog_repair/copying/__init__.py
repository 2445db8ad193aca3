"""Copies of a store: its registers merged into another store, or written to a file and back."""
