"""The README's Python snippet publishes a record, run as a file and pasted into an interactive interpreter."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer

from replog.events import parse
from replog.settings import KafkaSettings
from replog_local.processes import Children

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

README = Path(__file__).parents[2] / "README.md"
TOPIC = KafkaSettings.model_fields["kafka_topic"].default
DEADLINE_S = 60.0
EVENTS = Counter(
    ["record.started", "detail.started", "detail.progressed", "detail.finished", "record.finished"],
)


def snippet() -> str:
    """The one Python block of the README."""
    (found,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    """Address of an embedded broker that has the topic of events."""
    children = Children(tmp_path, os.environ)
    command = [sys.executable, "-m", "replog_local.embedded_broker", TOPIC]
    try:
        yield await children.start_and_read_line("broker", command, {})
    finally:
        await children.stop(["broker"])


def run(arguments: list[str], broker: str, *, pasted: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python as the README says: with nothing set but the broker's address."""
    environment = {"PATH": os.environ["PATH"], "REPLOG_KAFKA_BOOTSTRAP_SERVERS": broker}
    return subprocess.run(
        [sys.executable, *arguments],
        input=pasted,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


async def published(broker: str) -> Counter[str]:
    """Types of the events on the topic, once there are as many as the snippet publishes."""
    types: Counter[str] = Counter()
    async with (
        asyncio.timeout(DEADLINE_S),
        AIOKafkaConsumer(TOPIC, bootstrap_servers=broker, auto_offset_reset="earliest") as consumer,
    ):
        while types.total() < EVENTS.total():
            for messages in (await consumer.getmany(timeout_ms=1000)).values():
                types.update(parse(message.value).type for message in messages)
    return types


async def test_the_snippet_runs_as_a_file(broker: str, tmp_path: Path) -> None:
    """Saved and started with ``python FILE``."""
    file = tmp_path / "worker.py"
    file.write_text(snippet(), encoding="utf-8")
    ended = await asyncio.to_thread(run, [str(file)], broker)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert await published(broker) == EVENTS


async def test_the_snippet_runs_when_pasted(broker: str) -> None:
    """An interactive interpreter ends a block at a blank line, and takes one statement at a time."""
    ended = await asyncio.to_thread(run, ["-i", "-q"], broker, pasted=snippet())
    assert "Error" not in ended.stderr
    assert await published(broker) == EVENTS
