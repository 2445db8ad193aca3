"""The project's tests; `tests.services` starts the broker and the Redis that they run against."""
