"""Tests of what `deploy/` contains: images, manifests, rules, units."""
