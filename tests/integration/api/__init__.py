"""Tests of the query service, in the test's own process, over a real Redis."""
