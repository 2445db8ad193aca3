"""Observation of requests from outside of the application: their metrics, the access log, and traces."""
