"""Checking: verdicts on observations. Pure."""
