"""The blocks that a replication worker enters: ``async with`` a record, and within it ``async with`` each detail.

Entering a block publishes ``*.started``, and leaving it publishes ``*.finished``. Each call checks its arguments
against the event contract. Progress is limited to one event per interval. This module does not depend on Kafka.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypedDict
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from replog.cancellation import cancel_and_wait
from replog.errors import BrokerUnavailable, InvalidEventError
from replog.events import TYPES, event_of
from replog.times import TimeUs, format_time_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Unpack

    from replog.events import Event

#: Seconds that a cancelled publication of progress may take to end.
CLOSE_S = 5.0


class RecordFacts(TypedDict, total=False):
    """Facts of a record, in the snake case of the event contract's names."""

    task_name: str | None
    replica_type: Literal["SCHEDULED", "REAL_TIME", "RUN_ONCE", "EDGE_PULL", "FEDERATION"] | None
    replica_object_type: Literal["REPOSITORY", "PACKAGE", "PATH"] | None
    expected_details: int | None


class DetailFacts(TypedDict, total=False):
    """Facts of a detail, in the snake case of the event contract's names."""

    local_cluster: str | None
    remote_cluster: str | None
    repo_name: str | None
    repo_type: str | None
    package_name: str | None
    package_key: str | None
    versions: list[str] | None
    version: str | None
    path: str | None
    artifact_name: str | None
    size: int | None
    sha256: str | None
    conflict_strategy: str | None


class Counts(TypedDict, total=False):
    """Totals of one kind of thing since the detail began; an absent one is 0."""

    total: int
    success: int
    skip: int
    failed: int


class EventSink(Protocol):
    """Destination of the blocks' events."""

    #: Minimum seconds between two progress events of one record or detail.
    progress_interval_s: float

    async def publish(self, event: Event) -> None:
        """Publish ``event``; raises BrokerUnavailable if that fails."""


class _Scope:
    """A block: publishes started on entering, finished on leaving, and progress in between."""

    _kind: ClassVar[str]

    def __init__(self, sink: EventSink, head: dict[str, Any], facts: Mapping[str, Any]) -> None:
        self._sink = sink
        self._head = head
        self._started = self._event("started", **facts)
        self._outcome: dict[str, Any] = {"status": "SUCCESS"}
        self._last_progress: dict[str, Any] = {}
        self._thinning = _Thinning(sink)

    def fail(self, reason: str | None = None) -> None:
        """Make the block finish as FAILED with ``reason`` when it is left, without an exception."""
        outcome = {"status": "FAILED", "error_reason": reason}
        self._event("finished", **outcome)
        self._outcome = outcome

    async def __aenter__(self) -> Self:
        await self._sink.publish(replace(self._started, event_us=TimeUs(_now_us())))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thinning.close()
        if error is not None and self._outcome["status"] == "SUCCESS":
            self.fail(_reason(error))
        finished = self._event("finished", **self._outcome, **self._last_progress)
        try:
            await self._sink.publish(finished)
        except BrokerUnavailable as unavailable:
            if error is None:
                raise
            error.add_note(str(unavailable))

    async def _progress(self, **progress: Any) -> None:
        event = self._event("progressed", **progress)
        self._last_progress = progress
        await self._thinning.offer(event)

    def _event(self, phase: str, **fields: Any) -> Event:
        return checked_event(f"{self._kind}.{phase}", self._head | fields)


class RecordScope(_Scope):
    """One run of a task."""

    _kind = "record"

    def __init__(
        self, sink: EventSink, *, task_key: str, record_id: str | None, attempt: int, facts: RecordFacts
    ) -> None:
        _reject_unknown("record", facts, RecordFacts.__annotations__)
        head = {"task_key": task_key, "record_id": _made_if_none(record_id), "attempt": attempt}
        super().__init__(sink, head, facts)

    @property
    def record_id(self) -> str:
        """The record's id, as given or generated."""
        return self._started.record_id

    async def progress(self, *, replicated_bytes: int | None = None, total_bytes: int | None = None) -> None:
        """Report that the run is still active, with the total bytes so far if known.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
            BrokerUnavailable: the broker accepts nothing.
        """
        await self._progress(replicated_bytes=replicated_bytes, total_bytes=total_bytes)

    def detail(self, *, detail_id: str | None = None, attempt: int = 0, **facts: Unpack[DetailFacts]) -> DetailScope:
        """Create the block for one detail. A retry has the same ``detail_id`` and a higher ``attempt``.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
        """
        return DetailScope(self._sink, self.record_id, detail_id=detail_id, attempt=attempt, facts=facts)


class DetailScope(_Scope):
    """One detail: a thing replicated to one remote cluster."""

    _kind = "detail"

    def __init__(
        self,
        sink: EventSink,
        record_id: str,
        *,
        detail_id: str | None,
        attempt: int,
        facts: DetailFacts,
    ) -> None:
        _reject_unknown("detail", facts, DetailFacts.__annotations__)
        self.detail_id = _made_if_none(detail_id)
        super().__init__(sink, {"record_id": record_id, "detail_id": self.detail_id, "attempt": attempt}, facts)

    async def progress(
        self,
        *,
        blob: Counts | None = None,
        node: Counts | None = None,
        version: Counts | None = None,
        total_size: int = 0,
    ) -> None:
        """Report how far the detail has got: total counts, and ``total_size`` in bytes.

        You may call this often: at most one event a second is published, and the last one always is.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
            BrokerUnavailable: the broker accepts nothing.
        """
        tallies = {"blob": blob, "node": node, "version": version}
        for name, counts in tallies.items():
            _reject_unknown(name, counts or {}, Counts.__annotations__)
        await self._progress(progress={**tallies, "totalSize": total_size})


class _Thinning:
    """Rate limit for progress: publishes the first event, then the newest one of each interval."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._held: Event | None = None
        self._window: asyncio.Task[None] | None = None

    async def offer(self, event: Event) -> None:
        if self._window is not None:
            self._held = event
            return
        self._window = asyncio.create_task(self._let_through_held(), name="progress throttle")
        await self._sink.publish(event)

    async def close(self) -> None:
        """Drop the held event: ``*.finished`` carries the last progress."""
        if self._window is not None:
            await cancel_and_wait([self._window], timeout_s=CLOSE_S)

    async def _let_through_held(self) -> None:
        await asyncio.sleep(self._sink.progress_interval_s)
        while (event := self._held) is not None:
            self._held = None
            # The sink records events that it could not publish, and nobody awaits this task.
            with contextlib.suppress(BrokerUnavailable):
                await self._sink.publish(event)
            await asyncio.sleep(self._sink.progress_interval_s)
        self._window = None


def checked_event(event_type: str, fields: dict[str, Any]) -> Event:
    """The event of this type that happens now, with ``fields`` by their names in Python.

    Raises:
        InvalidEventError: a value is wrong; the text names the argument.
    """
    struct = TYPES[event_type]
    names = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    on_the_wire = {names[name]: _encodable(name, value) for name, value in fields.items()}
    try:
        return event_of({"type": event_type, "eventTime": format_time_us(_now_us()), **on_the_wire})
    except InvalidEventError as error:
        # The caller knows the names of the arguments, not those on the wire.
        field, problem = str(error).split(" ", 1)
        raise InvalidEventError(error.reason, f"{_CAPITAL.sub(_as_in_python, field)} {problem}") from None


def _encodable(name: str, value: object) -> object:
    # A Python string, such as a file name, may contain surrogates that UTF-8 cannot encode.
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise InvalidEventError("invalid_field", f"{name} is wrong: lone surrogates; found {value!r:.120}") from None
    except TypeError:
        return value  # the contract rejects this type itself
    return value


_CAPITAL = re.compile("[A-Z]")


def _as_in_python(capital: re.Match[str]) -> str:
    return f"_{capital[0].lower()}"


def _reject_unknown(of: str, given: Iterable[str], known: Iterable[str]) -> None:
    # The contract ignores unknown fields. In a call they are typing errors.
    for name in given:
        if name not in known:
            raise InvalidEventError("invalid_field", f"{of}.{name} is no field; there are {', '.join(known)}")


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.encode("utf-8", "replace").decode()


def _made_if_none(given: str | None) -> str:
    return uuid4().hex if given is None else given


def _now_us() -> int:
    return time.time_ns() // 1000
