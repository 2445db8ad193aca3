"""Tests of the pure parts; they need no server."""
