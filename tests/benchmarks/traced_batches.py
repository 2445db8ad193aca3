"""CPU time of an event from decoding to the commit: ``python FILE REDIS_URL PREFIX [ENDPOINT]``.

Each line on stdin asks for one pass over the simulated stream, whose figure is printed, in us.

With the address of an OTLP receiver, batches are traced and one event in a hundred names a recorded span. This file
imports nothing of the tests, so that the Python of another checkout can run it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replog.events import encode
from replog.settings import StoreSettings, load
from replog.store.client.connection import Connection
from replog.store.write.writer import Writer
from replog_collector.health.progress import Progress
from replog_collector.kafka.source import Polled, PolledSpan
from replog_collector.main import GC_THRESHOLD
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.pipeline.dead_letter_limit import DeadLetterLimit
from replog_collector.pipeline.decoding import decode
from replog_collector.pipeline.delivery import Delivery
from replog_collector.pipeline.retrying import Retrying
from replog_local.simulation import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDS, DETAILS, BATCH = 10, 1_000, 5_000
#: One event in so many comes from a recorded span.
RECORDED_EVERY = 100


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the collector's source gives it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes | None]]


class NoCheckpoints:
    """In place of the step that writes checkpoints and commits, which has nothing to do with events."""

    async def take(self, spans: Any, merges: Any = ()) -> None:
        """Do nothing."""


def batches(*, recorded: bool) -> list[list[Message]]:
    """The simulated stream."""
    messages = [
        Message(0, number, 0, event.record_id.encode(), encode(event), headers_of(number, recorded=recorded))
        for number, event in enumerate(simulate(1, records=RECORDS, details_per_record=DETAILS), 1)
    ]
    return [messages[first : first + BATCH] for first in range(0, len(messages), BATCH)]


def headers_of(number: int, *, recorded: bool) -> list[tuple[str, bytes | None]]:
    """The headers of one message."""
    if not recorded or number % RECORDED_EVERY:
        return []
    return [("traceparent", f"00-{number:032x}-{number:016x}-01".encode())]


def tracing(endpoint: str, stack: ExitStack) -> dict[str, Any]:
    """The argument of the delivery that traces batches; none in a version without tracing."""
    try:
        from replog.settings import TracingSettings  # noqa: PLC0415 - an earlier version has none
        from replog.tracing.opening import opened_tracer  # noqa: PLC0415 - as above
        from replog.tracing.reports import LibraryReport  # noqa: PLC0415 - as above
        from replog_collector.pipeline.batch_tracing import BatchTracing  # noqa: PLC0415 - as above
    except ImportError:
        assert not endpoint
        return {}
    else:
        settings = load(TracingSettings, otlp_endpoint=endpoint or None, trace_ratio=0.01)
        tracer = stack.enter_context(opened_tracer(settings, service="bench", report=LibraryReport()))
        return {"tracing": BatchTracing(tracer, topic="events", group="bench")}


def delivery(connection: Connection, parts: dict[str, Any]) -> Delivery:
    """The steps of a batch."""
    retrying = Retrying(asyncio.Event(), Progress(time.monotonic, 60))
    limit = DeadLetterLimit(1, 1_000_000, clock=time.monotonic)
    steps: Any = NoCheckpoints()
    return Delivery(Writer(connection), steps, steps, limit, None, retrying=retrying, **parts)


async def measure(redis_url: str, prefix: str, endpoint: str) -> None:
    """Print the figure of each pass."""
    made = batches(recorded=bool(endpoint))
    events = sum(map(len, made))
    with ExitStack() as stack:
        parts = tracing(endpoint, stack)
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        for number, _ in enumerate(sys.stdin):
            settings = load(StoreSettings, redis_url=redis_url, redis_prefix=f"{prefix}.{number}")
            async with Connection(settings, timeout_s=60) as connection:
                deliver = delivery(connection, parts).deliver
                began_s = time.process_time()
                for messages in made:
                    span = {0: PolledSpan(messages[0].offset, messages[-1].offset + 1, 0)}
                    await deliver(decode(Polled(messages, span), AheadLimit(86400)))
                us = (time.process_time() - began_s) / events * 1e6
            print(f"{us:.3f}", flush=True)  # noqa: T201 - the figure


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
