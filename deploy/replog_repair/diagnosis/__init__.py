"""Diagnosis: what is wrong with an installation, and how far the collectors are behind."""
