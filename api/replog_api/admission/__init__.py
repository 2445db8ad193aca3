"""Admission of requests: tokens, rates, concurrency, waiting clients."""
