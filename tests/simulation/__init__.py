"""Deterministic simulation: every process in one event loop with a virtual clock, and faults of a seeded schedule."""
