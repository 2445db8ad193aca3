"""A producer that a test controls, in place of :class:`replog.publisher.kafka.KafkaProducer`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replog.events import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.events import Event


class FakeProducer:
    """Keeps what is sent; acknowledges at once unless told otherwise."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Event]] = []
        self.headers: list[dict[str, bytes]] = []
        self.ended_by: str | None = None
        self.acknowledges = True
        self.full = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.refuses: Exception | None = None
        self.pending: list[asyncio.Future[Any]] = []

    async def start(self) -> None:
        """Nothing to connect to."""

    async def send(self, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> asyncio.Future[Any]:
        """Take the message, as soon as there is room."""
        if not self.room.is_set():
            self.full.set()
            await self.room.wait()
        if self.refuses is not None:
            raise self.refuses
        self.sent.append((key, parse(value)))
        self.headers.append(dict(headers))
        acknowledgement = asyncio.get_running_loop().create_future()
        self.pending.append(acknowledgement)
        if self.acknowledges:
            acknowledgement.set_result(None)
        return acknowledgement

    async def stop(self) -> None:
        """Note it."""
        self.ended_by = "stop"

    async def abort(self) -> None:
        """Note it."""
        self.ended_by = "abort"

    @property
    def events(self) -> list[Event]:
        """What was sent, in order."""
        return [event for _, event in self.sent]

    def of_type(self, kind: type[Any]) -> list[Any]:
        """What was sent of one model."""
        return [event for event in self.events if isinstance(event, kind)]
