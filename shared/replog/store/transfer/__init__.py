"""The transfer of a store's state: read as registers, and merged into another store."""
