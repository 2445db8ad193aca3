"""A stream says what became of a record, to however many, at the cost of one read an interval."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from starlette.requests import Request
from structlog.testing import capture_logs

from replog.errors import StoreUnavailable
from replog.events import parse
from replog.records import EMPTY, join
from replog.settings import ApiSettings, load
from replog.state import registers_of
from replog.store.format.rows import RECORD_FIELDS
from replog.store.read.record_queries import RecordQueries
from replog_api import metrics
from replog_api.admission.auth import Rights
from replog_api.admission.waiting_clients import Timings, WaitingClients
from replog_api.contracts import schemas
from replog_api.http.errors import RefusedError
from replog_api.http.query_values import StreamQuery
from replog_api.live.snapshots import Snapshots
from replog_api.live.stream import StreamEndpoint
from replog_api.queries.query_runner import QueryRunner
from tests.support.query_service import event
from tests.support.sse import SentEvent, events_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from replog.store.client.command import Command

INTERVAL_S = 0.02
SETTLED_S = 0.1
TIMINGS = Timings(interval_s=INTERVAL_S, settled_s=SETTLED_S)
DEADLINE_S = 20.0
NOW_MS = 1_620_820_800_000  # 2021-05-12T12:00:00Z
END = {"type": "http.response.body", "body": b"", "more_body": False}


class Store:
    """The record ``r`` of a store: what it is, and how often it was read."""

    prefix = "test"

    def __init__(self) -> None:
        self.reads = 0
        self.failing = False
        self.registers = EMPTY
        self.fields: dict[str, bytes] = {}

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """The fields of the record that are asked for; counts them as reads."""
        self.reads += len(calls)
        await asyncio.sleep(0)
        if self.failing:
            raise StoreUnavailable("connection", "gone")
        assert all(call.arguments == RECORD_FIELDS for call in calls)
        return [[self.fields.get(field) for field in call.arguments] for call in calls]

    def merge(self, kind: str, written_ms: int | None = None, **fields: Any) -> None:
        """Merge an event of the record."""
        self.registers = join(self.registers, registers_of(parse(json.dumps(event(kind, **fields)).encode())))
        self.fields |= dict(zip(("start", "facts", "outcome", "progress", "last"), self.registers, strict=True))
        self.count(nS=0)
        self.fields["w"] = str(written_ms or time.time_ns() // 1_000_000).encode()

    def count(self, **counts: int) -> None:
        """Set numbers of details."""
        version = int(self.fields.get("v", 0)) + 1
        self.fields |= {name: str(number).encode() for name, number in counts.items()} | {"v": str(version).encode()}


class Client:
    """A client of a stream; one that is ``slow`` takes nothing of the body until it is let."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()
        self.sent: list[Any] = []
        self.task: asyncio.Task[None] | None = None

    async def begin(self, endpoint: StreamEndpoint, last_event_id: str = "", zone: str = "") -> int:
        """Ask for the stream; returns the status."""
        headers = [(b"last-event-id", last_event_id.encode()), (b"x-bkrepo-time-zone", zone.encode())]
        scope = {"type": "http", "headers": headers}
        request = Request(scope, self._receive)
        response = await endpoint.stream(request, StreamQuery.model_construct(record_id="r"))
        self.task = asyncio.create_task(response(scope, self._receive, self._send))
        return response.status_code

    async def _receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.takes.wait()
        self.sent.append(message)

    @property
    def text(self) -> str:
        """The body so far."""
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    @property
    def events(self) -> list[SentEvent]:
        """The events so far."""
        return events_of(self.text)

    @property
    def kinds(self) -> list[str]:
        """Their names."""
        return [event.kind for event in self.events]


async def until(condition: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.002)


class Service(NamedTuple):
    """An endpoint, what it reads, and who waits at it."""

    endpoint: StreamEndpoint
    store: Store
    waiting_clients: WaitingClients

    async def client(self, last_event_id: str = "") -> Client:
        """One whose stream has begun."""
        client = Client()
        assert await client.begin(self.endpoint, last_event_id) == 200
        await until(lambda: bool(client.text))
        return client


@pytest.fixture
def clock() -> list[int]:
    """What rows are rendered as of: the only element, in ms."""
    return [NOW_MS]


@pytest.fixture
def timings() -> Timings:
    """Short where a test does not ask for more."""
    return TIMINGS


@pytest.fixture
async def service(clock: list[int], timings: Timings) -> AsyncIterator[Service]:
    """A service over a store that has the record."""
    store, waiting_clients = Store(), WaitingClients()
    store.merge("record.started")
    runner = QueryRunner(load(ApiSettings), waiting_clients, timings=timings, clock=lambda: clock[0])
    queries = RecordQueries(store)
    endpoint = StreamEndpoint(runner, Rights(queries), Snapshots(queries, runner))
    yield Service(endpoint, store, waiting_clients)
    waiting_clients.end()
    await until(lambda: not waiting_clients._limits)


@pytest.fixture(autouse=True)
def _gauge_is_true() -> Iterator[None]:
    assert metrics.STREAM_CLIENTS._value.get() == 0
    yield
    assert metrics.STREAM_CLIENTS._value.get() == 0


async def test_a_stream_tells_the_whole_story(service: Service) -> None:
    """What is, each change of the record and its roll-up, and the end, each in full."""
    client = await service.client()
    await until(lambda: client.kinds == ["snapshot"])
    service.store.count(nR=1)
    await until(lambda: len(client.events) == 2)
    service.store.merge("record.progressed", replicatedBytes=5, at="2021-05-12T12:00:01Z")
    await until(lambda: len(client.events) == 3)
    service.store.merge("record.finished", status="FAILED", errorReason="why", at="2021-05-12T12:00:02Z")
    await until(lambda: client.sent[-1] == END)
    assert client.kinds == ["snapshot", "change", "change", "change", "end"]
    told = [schemas.Watched.model_validate(event.data) for event in client.events]
    assert [data.overview.running for data in told] == [0, 1, 1, 1, 1]
    assert [data.record.replicated_bytes for data in told] == [None, None, 5, 5, 5]
    assert [data.record.status for data in told] == ["RUNNING"] * 3 + ["FAILED"] * 2
    assert [data.reason for data in told] == [None] * 4 + ["finished"]
    assert all(data.overview == data.record.replica_overview for data in told)
    assert len({event.id for event in client.events}) == 5


@pytest.mark.parametrize("timings", [replace(TIMINGS, interval_s=0.25)])
async def test_many_watchers_cost_one_read_an_interval(service: Service, timings: Timings) -> None:
    """All of them see every state that is there for longer than that."""
    clients = [Client() for _ in range(1000)]
    began_s, before = time.monotonic(), service.store.reads
    assert set(await asyncio.gather(*(client.begin(service.endpoint) for client in clients))) == {200}
    await until(lambda: all(client.kinds == ["snapshot"] for client in clients))
    for number in range(1, 4):
        service.store.count(nR=number)
        await until(lambda seen=number: all(len(client.sent) >= 3 + seen for client in clients))  # type: ignore[misc]
    took_s = time.monotonic() - began_s
    assert service.store.reads - before <= took_s / timings.interval_s + 1
    assert metrics.STREAM_CLIENTS._value.get() == 1000
    bodies = {client.text for client in clients}
    assert len(bodies) == 1
    assert [event.data["overview"]["running"] for event in clients[0].events] == [0, 1, 2, 3]
    service.waiting_clients.end()
    await until(lambda: all(client.task and client.task.done() for client in clients))


async def test_a_slow_client_gets_the_newest_and_nothing_is_kept_for_it(service: Service) -> None:
    """While it takes nothing, the others are told everything."""
    slow, other = await service.client(), await service.client()
    await until(lambda: slow.kinds == other.kinds == ["snapshot"])
    slow.takes.clear()
    for number in range(1, 11):
        service.store.count(nR=number)
        await until(lambda seen=number: len(other.events) == 1 + seen)  # type: ignore[misc]
    assert slow.kinds == ["snapshot"]
    slow.takes.set()
    await until(lambda: slow.events[-1] == other.events[-1])
    # The first it was being sent, the last there is.
    assert [event.data["overview"]["running"] for event in slow.events] == [0, 1, 10]


async def test_the_last_who_goes_ends_the_reading(service: Service) -> None:
    """At once, whether it was being told something or not."""
    clients = [await service.client() for _ in range(3)]
    clients[0].takes.clear()
    service.store.count(nR=1)
    await until(lambda: all(len(client.events) == 2 for client in clients[1:]))
    for client in clients:
        client.gone.set()
    await until(lambda: all(client.task and client.task.done() for client in clients[1:]))
    clients[0].takes.set()
    await until(lambda: not service.endpoint._snapshots._reads._tasks)
    assert metrics.STREAM_CLIENTS._value.get() == 0
    before = service.store.reads
    await asyncio.sleep(3 * INTERVAL_S)
    assert service.store.reads == before


@pytest.mark.parametrize("timings", [replace(TIMINGS, heartbeat_s=3 * INTERVAL_S)])
async def test_a_stream_outlives_its_store(service: Service) -> None:
    """With heart-beats, and with what has changed meanwhile; who comes meanwhile is told that there is no store."""
    client = await service.client()
    with capture_logs() as logs:
        service.store.failing = True
        await until(lambda: any(line["event"] == "store_unavailable" for line in logs))
        beats = client.text.count(": alive\n\n")
        await until(lambda: client.text.count(": alive\n\n") > beats + 2)
        with pytest.raises(StoreUnavailable):
            await Client().begin(service.endpoint)
        service.store.count(nR=7)
        assert client.kinds == ["snapshot"]
        service.store.failing = False
        await until(lambda: client.kinds == ["snapshot", "change"])
    assert [line["event"] for line in logs] == ["store_unavailable", "recovered"]
    assert client.events[-1].data["overview"]["running"] == 7


@pytest.mark.parametrize("timings", [replace(TIMINGS, heartbeat_s=5 * INTERVAL_S)])
async def test_heart_beats_come_in_time(service: Service) -> None:
    """However much there is to tell beside them."""
    began_s = time.monotonic()
    client = await service.client()
    for number in range(20):
        service.store.count(nR=number)
        await until(lambda seen=number: client.kinds.count("change") >= seen)  # type: ignore[misc]
    await until(lambda: client.text.count(": alive") >= 3)
    assert client.text.count(": alive") <= (time.monotonic() - began_s) / (4 * INTERVAL_S)


async def test_what_turns_stale_is_told(service: Service, clock: list[int]) -> None:
    """Although nothing was written; and an id from before is none of now."""
    client = await service.client()
    clock[0] += 900_000
    client_before = await service.client(client.events[0].id)
    clock[0] += 1
    await until(lambda: client.kinds == ["snapshot", "change"] and client_before.kinds == ["change"])
    assert [event.data["record"]["stale"] for event in client.events] == [False, True]
    late = await service.client(client.events[0].id)
    await until(lambda: late.kinds == ["snapshot"])
    assert late.events[0].id == client.events[1].id


async def test_who_comes_again_is_told_what_is_new(service: Service) -> None:
    """Nothing twice; and 204 where all was told, so that a browser does not come again."""
    first = await service.client()
    seen = first.events[-1].id
    again = await service.client(seen)
    await until(lambda: again.text.startswith("retry: 2000\n\n"))
    service.store.count(nR=1)
    await until(lambda: again.kinds == ["change"])
    late = await service.client(seen)
    await until(lambda: late.kinds == ["snapshot"])
    assert late.events == [again.events[0]._replace(kind="snapshot")]
    service.store.merge("record.finished", status="SUCCESS", at="2021-05-12T12:00:02Z")
    await until(lambda: first.sent[-1] == again.sent[-1] == late.sent[-1] == END)
    # It knows how the record ended, and not that this is all.
    *_, state, end = first.events
    knowing = await service.client(state.id)
    await until(lambda: knowing.sent[-1] == END)
    assert knowing.kinds == ["end"]
    assert await Client().begin(service.endpoint, end.id) == 204
    service.store.merge("record.started", attempt=1, at="2021-05-12T12:00:03Z")
    reopened = await service.client(end.id)
    await until(lambda: reopened.kinds == ["snapshot"])
    assert reopened.events[0].data["record"]["status"] == "RUNNING"


@pytest.mark.parametrize("timings", [replace(TIMINGS, settled_s=2 * DEADLINE_S)])
async def test_an_end_waits_for_late_details(service: Service) -> None:
    """And is none where another attempt follows."""
    client = await service.client()
    for change in ({"nR": 1}, {"nR": 0, "nS": 1}):
        service.store.merge("record.finished", status="SUCCESS", at="2021-05-12T12:00:02Z")
        await until(lambda: client.events[-1].data["record"]["status"] == "SUCCESS")
        service.store.count(**change)
        await until(lambda told=change: client.events[-1].data["overview"]["running"] == told["nR"])  # type: ignore[misc]
    service.store.merge("record.started", attempt=1, at="2021-05-12T12:00:03Z")
    await until(lambda: client.events[-1].data["record"]["status"] == "RUNNING")
    assert "end" not in client.kinds


@pytest.mark.parametrize(
    ("skew_ms", "timings"), [(-86_400_000, replace(TIMINGS, settled_s=DEADLINE_S)), (86_400_000, TIMINGS)]
)
async def test_an_end_comes_whatever_collectors_call_now(service: Service, timings: Timings, skew_ms: int) -> None:
    """A clock that is ahead does not hold it up; what ended long ago ends at once."""
    written_ms = time.time_ns() // 1_000_000 + skew_ms
    service.store.merge("record.finished", written_ms, status="SUCCESS", at="2021-05-12T12:00:02Z")
    began_s = time.monotonic()
    client = await service.client()
    await until(lambda: client.sent[-1] == END)
    assert client.kinds == ["snapshot", "end"]
    assert (time.monotonic() - began_s >= timings.settled_s) == (skew_ms > 0)


async def test_a_record_that_retention_removes_ends_its_stream(service: Service) -> None:
    """With what was known of it, and why."""
    client = await service.client()
    service.store.fields.clear()
    await until(lambda: client.sent[-1] == END)
    assert client.kinds == ["snapshot", "end"]
    assert client.events[-1].data == client.events[0].data | {"reason": "removed"}
    with pytest.raises(RefusedError) as refused:
        await Client().begin(service.endpoint, client.events[-1].id)
    assert refused.value.problem == (400, 250310)


async def test_a_service_that_stops_says_when_to_come_again(service: Service) -> None:
    """Not to all the same, and the body is complete."""
    clients = [await service.client() for _ in range(20)]
    service.waiting_clients.end()
    await until(lambda: all(client.task and client.task.done() for client in clients))
    ends = [client.sent[-1] for client in clients]
    assert not any(end["more_body"] for end in ends)
    assert all(end["body"].startswith(b": the service stops\nretry: ") for end in ends)
    waits_ms = {int(end["body"].split()[-1]) for end in ends}
    assert len(waits_ms) > 1
    assert all(2000 <= wait_ms < 4000 for wait_ms in waits_ms)
    assert all(client.kinds == ["snapshot"] for client in clients)
