"""The publisher for replication workers.

::

    async with Publisher() as publisher:
        async with publisher.record(task_key="nightly") as record:
            async with record.detail(remote_cluster="dev", package_name="helloworld") as detail:
                await detail.progress(blob={"total": 10, "success": 4}, total_size=4096)

Leaving the publisher waits until the broker has acknowledged every event. If it did not, the publisher raises an error
that names the missing events.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from replog.cancellation import cancel_and_wait
from replog.errors import BrokerUnavailable, InvalidEventError
from replog.events import MAX_VALUE_BYTES, DetailEvent, bounded, encode, parse
from replog.publisher.kafka import KafkaProducer
from replog.publisher.scopes import RecordScope, checked_event
from replog.publisher.traced_record import TracedRecord, trace_headers
from replog.settings import KafkaSettings, TracingSettings, load
from replog.tracing.opening import opened_tracer
from replog.tracing.reports import LibraryReport

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from replog.events import Event, RecordErased
    from replog.publisher.scopes import EventSink, RecordFacts
    from replog.publisher.traced_record import Headers
    from replog.tracing.tracer import Tracer

#: Minimum seconds between two progress events of one record or detail.
PROGRESS_INTERVAL_S = 1.0
#: Seconds allowed for buffering an event, and for acknowledging the last ones.
DELIVERY_TIMEOUT_S = 120.0
#: Seconds allowed for disconnecting once every event is acknowledged, and for cancelling that.
STOP_TIMEOUT_S = 10.0
CANCEL_S = 1.0
#: Events that an error names; further ones are only counted.
NAMED_EVENTS = 10


class Producer(Protocol):
    """Destination of encoded events: :class:`replog.publisher.kafka.KafkaProducer`, or a fake in tests."""

    async def start(self) -> None:
        """Connect."""

    async def send(self, key: bytes, value: bytes, headers: Headers = ()) -> asyncio.Future[Any]:
        """Buffer one message; the future completes with the broker's acknowledgement."""

    async def stop(self) -> None:
        """Disconnect once every message is acknowledged."""

    async def abort(self) -> None:
        """Disconnect now."""


class Publisher:
    """Publishes events and tracks their acknowledgement; use it with ``async with``.

    Without ``settings``, they are read from the environment, and so is ``tracing``. The tasks of one event loop may
    share a publisher.
    """

    def __init__(
        self,
        settings: KafkaSettings | None = None,
        *,
        tracing: TracingSettings | None = None,
        producer: Producer | None = None,
        progress_interval_s: float = PROGRESS_INTERVAL_S,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self.progress_interval_s = progress_interval_s
        self._settings = settings
        self._tracing = tracing
        self._tracer: Tracer | None = None
        self._opened = ExitStack()
        self._producer = producer
        self._delivery_timeout_s = delivery_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._unacknowledged: dict[bytes, str] = {}

    async def __aenter__(self) -> Self:
        if self._producer is None:
            settings = self._settings or load(KafkaSettings)
            self._producer = KafkaProducer(settings, settings.kafka_topic)
        tracing = self._tracing or load(TracingSettings)
        self._tracer = self._opened.enter_context(
            opened_tracer(tracing, service="replog-publisher", report=LibraryReport())
        )
        try:
            await self._producer.start()
        except BaseException:
            self._opened.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except BrokerUnavailable as unavailable:
            if error is None:
                raise
            error.add_note(str(unavailable))

    async def close(self, *, timeout_s: float | None = None) -> None:
        """Wait for the acknowledgements, for ``timeout_s`` seconds or the delivery time-out, and disconnect.

        Leaving the block does so.

        Raises:
            BrokerUnavailable: events were not acknowledged; the text names them.
        """
        with self._opened:
            await self._disconnect(self._delivery_timeout_s if timeout_s is None else timeout_s)
        if self._unacknowledged:
            raise BrokerUnavailable(self.account())

    def record(
        self, *, task_key: str, record_id: str | None = None, attempt: int = 0, **facts: Unpack[RecordFacts]
    ) -> RecordScope:
        """Create the block for one run of a task. A retry has the same ``record_id`` and a higher ``attempt``.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
        """
        sink: EventSink = self
        if self._tracer is not None:
            sink = TracedRecord(self._publish, self._tracer, progress_interval_s=self.progress_interval_s)
        return RecordScope(sink, task_key=task_key, record_id=record_id, attempt=attempt, facts=facts)

    async def erase(self, record_id: str, *, task_key: str | None = None) -> RecordErased:
        """Publish that the record and all that is known of it up to now are forgotten; returns the event.

        What happens later makes the record anew.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
            BrokerUnavailable: the event could not be buffered in time.
        """
        event = cast("RecordErased", checked_event("record.erased", {"record_id": record_id, "task_key": task_key}))
        await self.publish(event)
        return event

    async def publish(self, event: Event) -> None:
        """Buffer ``event`` for publishing, with a long ``error_reason`` cut; waits while the buffer is full.

        Raises:
            InvalidEventError: the event breaks the contract, or is too large.
            BrokerUnavailable: the event could not be buffered in time.
        """
        await self._publish(event, trace_headers(self._tracer.current()) if self._tracer else ())

    async def _publish(self, event: Event, headers: Headers) -> None:
        value = encode(bounded(event))
        if len(value) > MAX_VALUE_BYTES:
            raise InvalidEventError("too_large", f"{_name(event)} has {len(value)} bytes; at most {MAX_VALUE_BYTES}")
        parse(value)  # structs are not checked when they are created
        self._unacknowledged[value] = "waits for room in the buffer"
        try:
            acknowledgement = await self._buffer(event.record_id.encode(), value, headers)
        except BrokerUnavailable as unavailable:
            self._unacknowledged[value] = str(unavailable)
            raise
        except BaseException:
            # Refused for good, or cancelled: the caller decides what that means.
            self._unacknowledged.pop(value, None)
            raise
        self._watch(acknowledgement, value)

    async def _buffer(self, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[Any]:
        if self._producer is None:
            raise RuntimeError("a publisher is used with `async with`")
        try:
            async with asyncio.timeout(self._delivery_timeout_s):
                return await self._producer.send(key, value, headers)
        except TimeoutError:
            raise BrokerUnavailable(f"no room in the buffer for {self._delivery_timeout_s:g} s") from None

    def _watch(self, acknowledgement: asyncio.Future[Any], value: bytes) -> None:
        self._unacknowledged[value] = "no answer in time"
        self._in_flight.add(acknowledgement)
        acknowledgement.add_done_callback(lambda done: self._settle(done, value))

    def _settle(self, acknowledgement: asyncio.Future[Any], value: bytes) -> None:
        self._in_flight.discard(acknowledgement)
        error = None if acknowledgement.cancelled() else acknowledgement.exception()
        if acknowledgement.cancelled() or error is not None:
            self._unacknowledged[value] = str(error or "cancelled")
        else:
            self._unacknowledged.pop(value, None)

    async def _disconnect(self, timeout_s: float) -> None:
        producer = self._producer
        if producer is None:
            return
        try:
            await self._wait_for_acknowledgements(timeout_s)
        finally:
            await self._end(producer)

    async def _end(self, producer: Producer) -> None:
        if not self._in_flight:
            stopping = asyncio.create_task(producer.stop(), name="publisher stop")
            try:
                await asyncio.wait([stopping], timeout=self._stop_timeout_s)
            finally:
                await cancel_and_wait([stopping], timeout_s=CANCEL_S)
            if stopping.done() and not stopping.cancelled():
                stopping.result()
                return
        await producer.abort()

    async def _wait_for_acknowledgements(self, timeout_s: float) -> None:
        if self._in_flight:
            await asyncio.wait(set(self._in_flight), timeout=timeout_s)

    def account(self) -> str:
        """Number of the events that are not acknowledged, and the names of the first of them with the reasons."""
        lost = [f"{_name(parse(value))} ({why})" for value, why in list(self._unacknowledged.items())[:NAMED_EVENTS]]
        more = len(self._unacknowledged) - len(lost)
        listed = ", ".join(lost) + (f" and {more} more" if more else "")
        return f"{len(self._unacknowledged)} events were not acknowledged: {listed}"


def _name(event: Event) -> str:
    detail = f" detail {event.detail_id}" if isinstance(event, DetailEvent) else ""
    return f"{event.type} of record {event.record_id}{detail}"
