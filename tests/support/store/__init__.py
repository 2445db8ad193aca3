"""Parts of the tests of the store."""
