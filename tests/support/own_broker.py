"""An embedded broker for one test, which may end it."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from aiokafka import AIOKafkaConsumer

from replog.settings import KafkaSettings
from replog_local.processes import Children

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOPIC = "published"
DEADLINE_S = 30.0


class OwnBroker(NamedTuple):
    """The broker, and the settings that reach it."""

    children: Children
    settings: KafkaSettings

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path) -> AsyncIterator[OwnBroker]:
        """Run a broker, whose log is in ``folder``, until the block is left."""
        children = Children(folder, os.environ)
        try:
            command = [sys.executable, "-m", "replog_local.embedded_broker", TOPIC]
            address = await children.start_and_read_line("broker", command, {})
            yield cls(children, KafkaSettings(kafka_bootstrap_servers=address, kafka_topic=TOPIC))
        finally:
            await children.stop(["broker"])

    async def stop(self) -> None:
        """End it."""
        await self.children.stop(["broker"])

    async def read(self, count: int) -> list[tuple[bytes, bytes]]:
        """Return the keys and values of the first ``count`` messages of the topic, or more."""
        messages: list[tuple[bytes, bytes]] = []
        servers = self.settings.kafka_bootstrap_servers
        async with (
            asyncio.timeout(DEADLINE_S),
            AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer,
        ):
            while len(messages) < count:
                fetched = await consumer.getmany(timeout_ms=1000)
                messages += [(message.key, message.value) for batch in fetched.values() for message in batch]
        return messages
