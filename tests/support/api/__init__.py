"""Parts of the tests of the query service."""
