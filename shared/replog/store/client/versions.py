"""Versions of Redis that the store runs on. Pure."""

from __future__ import annotations

#: Oldest Redis whose commands and script libraries the store was tested with.
LEAST_VERSION = (6, 2)


def is_too_old(version: str) -> bool:
    """Whether a server of this version lacks what the store needs."""
    return tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION
