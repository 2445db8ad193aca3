"""Execution records of repository replication: the event contract and the publisher for workers.

See ``docs/events.md`` for the contract and ``replog.publisher.publisher`` for how to publish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replog.publisher.publisher import Publisher
    from replog.publisher.sync_publisher import SyncPublisher

__all__ = ["Publisher", "SyncPublisher"]


def __getattr__(name: str) -> Any:
    # Imported on demand: the Kafka client is slow to import, and most importers of replog need another part.
    if name == "Publisher":
        from replog.publisher.publisher import Publisher  # noqa: PLC0415

        return Publisher
    if name == "SyncPublisher":
        from replog.publisher.sync_publisher import SyncPublisher  # noqa: PLC0415

        return SyncPublisher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
