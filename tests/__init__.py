"""The project's tests; `tests.support.services` starts the broker and the Redis that they run against."""
