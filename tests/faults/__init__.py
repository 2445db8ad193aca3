"""Tests that kill, pause and fill processes: nothing is lost."""
