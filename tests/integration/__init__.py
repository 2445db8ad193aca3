"""Tests of one real service at a time."""
