"""Addresses of the services of a local stack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Addresses:
    """Addresses of all services."""

    api_url: str
    collector_url: str
    kafka: str
    topic: str
    outcomes_topic: str
    redis_url: str
