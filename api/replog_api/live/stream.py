"""Streams of one record's state, as Server-Sent Events: a snapshot, each change, and the end.

Every event has the whole state, so a client that is slower than the changes gets fewer and newer ones: nothing is kept
for it. One that takes nothing at all is cut off by the protocol.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from secrets import randbelow
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response

from replog.errors import StoreUnavailable
from replog_api import metrics
from replog_api.http import messages
from replog_api.http.errors import UNKNOWN_RECORD, RefusedError
from replog_api.http.request_context import context_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

    from replog_api.admission.auth import Rights
    from replog_api.admission.waiting_clients import WaitingClients
    from replog_api.http.query_values import StreamQuery
    from replog_api.live.snapshots import RenderedSnapshot, Snapshot, Snapshots
    from replog_api.queries.query_runner import QueryRunner
    from replog_api.queries.shared_answers import QueryKey

#: Most seconds until a client hears whether there will be a stream.
FIRST_SNAPSHOT_S = 1.5
#: After so many milliseconds a client whose connection broke is to come again; where the service stops, up to so many
#: later, or all would come at once.
RETRY_MS = 2000

_HEARTBEAT = b": alive\n\n"
_HEADERS = {"Cache-Control": "no-store", "Connection": "close", "X-Accel-Buffering": "no"}
FINISHED, REMOVED = b"finished", b"removed"


class Subscription(NamedTuple):
    """One client's request for the stream of a record."""

    request: Request
    record_id: str
    query_key: QueryKey


class StreamEndpoint:
    """Streams records; one instance a process."""

    def __init__(self, runner: QueryRunner, rights: Rights, snapshots: Snapshots) -> None:
        self._runner = runner
        self._timings = runner.timings
        self._rights = rights
        self._snapshots = snapshots

    async def stream(self, request: Request, query: StreamQuery) -> Response:
        """A stream; 204 for a client that already received its end, so that browsers stop reconnecting."""
        record_id = query.record_id
        snapshot = await self._first_snapshot(request, record_id)
        if snapshot is None:
            raise RefusedError(UNKNOWN_RECORD, messages.unknown_record(record_id))
        subscription = Subscription(request, record_id, self._runner.query_key(request, "stream", record_id))
        if context_of(request.scope).last_event_id == self._rendered(subscription, snapshot).end_id:
            return Response(status_code=204)
        return EventStream(self._events(subscription, snapshot), request, self._runner.waiting_clients)

    async def _first_snapshot(self, request: Request, record_id: str) -> Snapshot | None:
        # A client that comes during a read waits for the next one, which begins when that has ended.
        try:
            async with asyncio.timeout(FIRST_SNAPSHOT_S):
                await self._rights.check_record(context_of(request.scope).prefix, record_id)
                return await self._snapshots.read(record_id)
        except TimeoutError:
            raise StoreUnavailable("timeout", f"no answer in {FIRST_SNAPSHOT_S} s") from None

    async def _events(self, subscription: Subscription, snapshot: Snapshot) -> AsyncGenerator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MS
        rendered = self._rendered(subscription, snapshot)
        if rendered.state_id != context_of(subscription.request.scope).last_event_id:
            yield _event(b"snapshot", rendered.state_id, rendered.data)
        changed_s = beaten_s = time.monotonic()
        while not self._settled(snapshot, changed_s):
            newer = await self._next_snapshot(subscription, snapshot)
            if newer is None:
                yield _end(rendered, REMOVED)
                return
            now_s = time.monotonic()
            if newer is not snapshot:
                snapshot, before, rendered = newer, rendered, self._rendered(subscription, newer)
                if rendered.state_id != before.state_id:
                    changed_s = now_s
                    yield _event(b"change", rendered.state_id, rendered.data)
            # After the next snapshot it may be too late.
            if now_s + self._timings.interval_s > beaten_s + self._timings.heartbeat_s:
                beaten_s = now_s
                yield _HEARTBEAT
        yield _end(rendered, FINISHED)

    async def _next_snapshot(self, subscription: Subscription, snapshot: Snapshot) -> Snapshot | None:
        """The next snapshot of the record; the last one while the store does not answer."""
        try:
            return await self._snapshots.read(subscription.record_id)
        except StoreUnavailable:
            return snapshot

    def _settled(self, snapshot: Snapshot, changed_s: float) -> bool:
        """Whether no more is to come, as far as anybody can tell; clocks of collectors may be wrong."""
        if not snapshot.finished:
            return False
        settled_s = self._timings.settled_s
        return time.time() - snapshot.written_ms / 1000 >= settled_s or time.monotonic() - changed_s >= settled_s

    def _rendered(self, subscription: Subscription, snapshot: Snapshot) -> RenderedSnapshot:
        return snapshot.rendered(subscription.query_key, self._runner.renderer(subscription.request))


class EventStream(Response):
    """Sends events as they come, until they end, the client goes or the service stops."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], request: Request, waiting_clients: WaitingClients) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._request = request
        self._waiting_clients = waiting_clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        last = b": the service stops\nretry: %d\n\n" % (RETRY_MS + randbelow(RETRY_MS))
        async with self._waiting_clients.waiting(self._request), aclosing(self._events) as events:
            with metrics.STREAM_CLIENTS.track_inprogress():
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async for event in events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            last = b""
        await send({"type": "http.response.body", "body": last, "more_body": False})


def _event(kind: bytes, event_id: str, data: bytes) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), kind, data)


def _end(rendered: RenderedSnapshot, reason: bytes) -> bytes:
    return _event(b"end", rendered.end_id, b'%b,"reason":"%b"}' % (rendered.data[:-1], reason))
