"""Benchmarks: figures with the simplest alternative beside them, from one run. Never part of the tests."""
