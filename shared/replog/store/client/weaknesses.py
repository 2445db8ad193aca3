"""Warnings about how Redis is set up; each process logs them once, at startup. Its own INFO is enough to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.telemetry import logger

if TYPE_CHECKING:
    from replog.store.client.connection import Connection


async def log_weaknesses(connection: Connection) -> None:
    """Log that a server keeps no append-only file, or removes keys where it is full. Raises StoreUnavailable."""
    states = await connection.server_states()
    if any(state.append_only is False for state in states):
        logger().warning("append_only_off")
    if policies := sorted({str(state.eviction) for state in states if state.evicts}):
        logger().warning("eviction_on", policies=policies)
