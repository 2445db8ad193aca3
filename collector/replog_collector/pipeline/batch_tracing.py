"""Spans of batches: one for each, with its steps as parts, and links to the spans that published its events.

No event has a span of its own. A batch is recorded if the span of one of its events is, or else by the ratio of the
settings.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from replog.tracing.traceparent import TRACEPARENT, TraceParent, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from replog.tracing.tracer import Tracer
    from replog_collector.kafka.source import Message
    from replog_collector.pipeline.decoding import Decoded

    #: Enters the step of a batch with this name.
    Step: TypeAlias = Callable[[str], AbstractContextManager[None]]

#: Most links of a batch: OpenTelemetry drops further ones.
MOST_LINKS = 128
_NO_STEP = nullcontext()


class BatchTracing:
    """Makes the spans of batches of ``topic``; none where ``tracer`` is None."""

    def __init__(self, tracer: Tracer | None, *, topic: str = "", group: str = "") -> None:
        self._tracer = tracer
        self._name = f"process {topic}"
        self._attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": group,
        }

    def batch(self, decoded: Decoded) -> AbstractContextManager[Step]:
        """The span of ``decoded``, from the start of its decoding to the end of the block."""
        if self._tracer is None:
            return nullcontext(_untraced)
        return self._traced(self._tracer, decoded)

    @contextmanager
    def _traced(self, tracer: Tracer, decoded: Decoded) -> Iterator[Step]:
        span = tracer.begin(
            self._name,
            "CONSUMER",
            self._attributes | {"messaging.batch.message_count": len(decoded.messages)},
            links=list(islice(recorded_parents(decoded.messages), MOST_LINKS)),
            start_ns=time.time_ns() - int((time.perf_counter() - decoded.began_s) * 1e9),
        )
        try:
            yield span.step
        except BaseException as error:
            span.end(error=repr(error))
            raise
        span.end()


def recorded_parents(messages: Sequence[Message]) -> Iterator[TraceParent]:
    """The spans that published ``messages`` and are recorded, each once."""
    seen: set[bytes] = set()
    for message in messages:
        for name, value in message.headers:
            if name != TRACEPARENT or value is None or value in seen:
                continue
            seen.add(value)
            parent = parse(value.decode("latin-1"))
            if parent is not None and parent.sampled:
                yield parent


def _untraced(name: str) -> AbstractContextManager[None]:
    return _NO_STEP


#: What a collector uses unless it is given another.
UNTRACED = BatchTracing(None)
