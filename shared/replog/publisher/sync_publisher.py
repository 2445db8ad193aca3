"""The publisher for replication workers that use threads.

::

    with SyncPublisher() as publisher:
        with publisher.record(task_key="nightly") as record:
            with record.detail(remote_cluster="dev", package_name="helloworld") as detail:
                detail.progress(blob={"total": 10, "success": 4}, total_size=4096)

One :class:`~replog.publisher.publisher.Publisher` on an event-loop thread does the work; the blocks here pass each call
to it and wait for the result. So the checks, the limits and the errors are the same.
"""

from __future__ import annotations

import atexit
import contextlib
import time
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from replog.errors import BrokerUnavailable
from replog.publisher.loop_thread import LoopThread
from replog.publisher.publisher import (
    CANCEL_S,
    DELIVERY_TIMEOUT_S,
    PROGRESS_INTERVAL_S,
    STOP_TIMEOUT_S,
    Producer,
    Publisher,
)
from replog.publisher.scopes import DetailScope, RecordScope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType
    from typing import Unpack

    from replog.events import Event, RecordErased
    from replog.publisher.scopes import Counts, DetailFacts, RecordFacts
    from replog.settings import KafkaSettings, TracingSettings

ScopeT = TypeVar("ScopeT", bound=RecordScope | DetailScope)

#: Seconds that a publisher which is open when the interpreter exits may wait for acknowledgements.
EXIT_TIMEOUT_S = 10.0


class SyncPublisher:
    """Publishes events and tracks their acknowledgement; use it with ``with``.

    Without ``settings``, they are read from the environment, and so is ``tracing``. Any number of threads may share a
    publisher and its blocks. A forked child needs a publisher of its own.

    If the interpreter exits while the publisher is open, no further event is taken. The exit waits at most
    ``exit_timeout_s`` seconds for acknowledgements, and then prints an error that names the missing events.
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
        exit_timeout_s: float = EXIT_TIMEOUT_S,
    ) -> None:
        self._publisher = Publisher(
            settings,
            tracing=tracing,
            producer=producer,
            progress_interval_s=progress_interval_s,
            delivery_timeout_s=delivery_timeout_s,
            stop_timeout_s=stop_timeout_s,
        )
        self._exit_timeout_s = exit_timeout_s
        self._disconnect_timeout_s = stop_timeout_s + CANCEL_S
        self._thread = LoopThread("replog publisher")

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._thread.call(self._publisher.__aenter__)
        except BaseException:
            self._thread.stop()
            raise
        atexit.register(self._close_at_exit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        atexit.unregister(self._close_at_exit)
        with _noted_on(error):
            self._close(lambda: self._publisher.__aexit__(kind, error, trace))

    def record(
        self, *, task_key: str, record_id: str | None = None, attempt: int = 0, **facts: Unpack[RecordFacts]
    ) -> SyncRecordScope:
        """Create the block for one run of a task. A retry has the same ``record_id`` and a higher ``attempt``.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
        """
        scope = self._publisher.record(task_key=task_key, record_id=record_id, attempt=attempt, **facts)
        return SyncRecordScope(self._thread, scope)

    def erase(self, record_id: str, *, task_key: str | None = None) -> RecordErased:
        """Publish that the record and all that is known of it up to now are forgotten; returns the event.

        What happens later makes the record anew.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
            BrokerUnavailable: the event could not be buffered in time.
        """
        return self._thread.call(lambda: self._publisher.erase(record_id, task_key=task_key))

    def publish(self, event: Event) -> None:
        """Buffer ``event`` for publishing, with a long ``error_reason`` cut; waits while the buffer is full.

        Raises:
            InvalidEventError: the event breaks the contract, or is too large.
            BrokerUnavailable: the event could not be buffered in time.
        """
        self._thread.call(lambda: self._publisher.publish(event))

    def _close(
        self,
        last: Callable[[], Coroutine[Any, Any, None]],
        *,
        calls_timeout_s: float | None = None,
        last_timeout_s: float | None = None,
    ) -> None:
        try:
            self._thread.refuse_calls(calls_timeout_s)
            self._thread.finish(last, last_timeout_s)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(self._publisher.account())
            raise
        finally:
            self._thread.stop()

    def _close_at_exit(self) -> None:
        if self._thread.forked:
            return
        deadline = time.monotonic() + self._exit_timeout_s

        async def close() -> None:
            await self._publisher.close(timeout_s=max(0.0, deadline - time.monotonic()))

        limit_s = self._exit_timeout_s + self._disconnect_timeout_s
        try:
            self._close(close, calls_timeout_s=self._exit_timeout_s, last_timeout_s=limit_s)
        except TimeoutError:
            raise BrokerUnavailable(self._publisher.account()) from None


class _SyncScope(Generic[ScopeT]):
    """A block: publishes started on entering, finished on leaving, and progress in between."""

    def __init__(self, thread: LoopThread, scope: ScopeT) -> None:
        self._thread = thread
        self._scope = scope

    def fail(self, reason: str | None = None) -> None:
        """Make the block finish as FAILED with ``reason`` when it is left, without an exception."""
        self._scope.fail(reason)

    def __enter__(self) -> Self:
        try:
            self._thread.call(self._scope.__aenter__)
        except KeyboardInterrupt as interrupt:
            # The event that started the block may be on its way, and nobody else would end the block.
            self.__exit__(type(interrupt), interrupt, interrupt.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _noted_on(error):
            self._thread.call(lambda: self._scope.__aexit__(kind, error, trace))


class SyncRecordScope(_SyncScope[RecordScope]):
    """One run of a task."""

    @property
    def record_id(self) -> str:
        """The record's id, as given or generated."""
        return self._scope.record_id

    def progress(self, *, replicated_bytes: int | None = None, total_bytes: int | None = None) -> None:
        """Report that the run is still active, with the total bytes so far if known.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
            BrokerUnavailable: the broker accepts nothing.
        """
        self._thread.call(lambda: self._scope.progress(replicated_bytes=replicated_bytes, total_bytes=total_bytes))

    def detail(
        self, *, detail_id: str | None = None, attempt: int = 0, **facts: Unpack[DetailFacts]
    ) -> SyncDetailScope:
        """Create the block for one detail. A retry has the same ``detail_id`` and a higher ``attempt``.

        Raises:
            InvalidEventError: a value is wrong; the text names the argument.
        """
        return SyncDetailScope(self._thread, self._scope.detail(detail_id=detail_id, attempt=attempt, **facts))


class SyncDetailScope(_SyncScope[DetailScope]):
    """One detail: a thing replicated to one remote cluster."""

    @property
    def detail_id(self) -> str:
        """The detail's id, as given or generated."""
        return self._scope.detail_id

    def progress(
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
        self._thread.call(lambda: self._scope.progress(blob=blob, node=node, version=version, total_size=total_size))


@contextlib.contextmanager
def _noted_on(error: BaseException | None) -> Iterator[None]:
    """Pass on what goes wrong when a block is left; ``error``, which ends the block, carries it as a note instead."""
    try:
        yield
    except (BrokerUnavailable, RuntimeError) as problem:
        if error is None:
            raise
        error.add_note(str(problem))
