"""Observing: the servers are asked, and what fails is a part of the observation."""
