"""Where a right is missing, the store is unavailable and says which; nothing is taken for a record's fault."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import structlog

from replog.errors import StoreRefused, StoreUnavailable
from replog.events import parse
from replog.settings import StoreSettings
from replog.store.client import rights
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.format.keys import RecordKeys
from replog.store.maintain.retention import Policy, Retention
from replog.store.maintain.staleness import Staleness
from replog.store.read.filters import NO_FILTER, DetailFilter
from replog.store.read.reader import Reader
from replog.store.read.tasks.task_pages import Tasks
from replog.store.write.batch import Batch
from replog.store.write.checkpoints import Checkpoints
from replog.store.write.offsets import Span
from replog.store.write.writer import Writer
from tests.support.query_service import BASE, serving
from tests.support.services import redis_acl
from tests.support.services.redis import connected
from tests.support.services.redis_user import User

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.redis import RedisServer
    from tests.support.strategies import Event

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DEADLINE_S = 30.0
TASKS = BASE.removesuffix("/record")


@pytest.fixture
def collector(redis_server: RedisServer, redis_prefix: str) -> Iterator[User]:
    user = User(redis_server, redis_prefix, redis_acl.COLLECTOR)
    yield user
    user.remove()


@pytest.fixture
def query_service(redis_server: RedisServer, redis_prefix: str) -> Iterator[User]:
    user = User(redis_server, redis_prefix, redis_acl.QUERY_SERVICE)
    yield user
    user.remove()


def started(record_id: str, **fields: Any) -> list[Event]:
    """A record and a detail of it that began."""
    ids = {"recordId": record_id, "eventTime": "2026-01-01T00:00:00Z"}
    record = {**ids, "type": "record.started", "taskKey": "t"}
    detail = {**ids, "type": "detail.started", "detailId": "d", "remoteCluster": "a", "packageName": "p", "path": "x"}
    return [{**record, **fields}, {**detail, **fields}]


def finished(record_id: str, at: str = "2026-01-01T00:00:01Z") -> list[Event]:
    end = {"status": "SUCCESS", "eventTime": at}
    return [{**event, "type": event["type"].replace("started", "finished"), **end} for event in started(record_id)]


def batch_of(events: list[Event]) -> Batch:
    batch = Batch()
    for event in events:
        batch.add(parse(json.dumps(event).encode()))
    return batch


class Work(NamedTuple):
    """Everything that a collector does in the store; ``ids`` are of records that are its own."""

    connection: Connection
    ids: tuple[str, str]

    async def merge(self) -> None:
        writer = Writer(self.connection, clock=(NOW - timedelta(days=2)).timestamp)
        for record_id in self.ids:
            await writer.merge(batch_of(started(record_id)))
        batch = batch_of(finished(self.ids[0]))
        result = await writer.merge(batch)
        checkpoints = Checkpoints(self.connection, group="g", topic="t")
        await checkpoints.begin({0: 0})
        await checkpoints.advance({0: Span(0, 1)}, [result])
        assert await checkpoints.read([0]) == {0: 1}

    async def count_stale(self) -> None:
        staleness = Staleness(self.connection, stale_after_s=1, clock=NOW.timestamp)
        await staleness.records()
        await staleness.details()

    async def erase(self) -> None:
        erased = {"type": "record.erased", "recordId": self.ids[1], "eventTime": "2026-01-01T00:00:02Z"}
        await Writer(self.connection).merge(batch_of([erased]))

    async def sweep(self) -> None:
        await Retention(self.connection, Policy(10, 10), clock=NOW.timestamp).sweep()
        # What is removed is remembered until its time is over too.
        await Retention(self.connection, Policy(0.001, 0.001), clock=NOW.timestamp).sweep()
        # Events that are newer than what was removed bring a record back.
        await Writer(self.connection).merge(batch_of(finished(self.ids[0], at="2026-01-30T00:00:00Z")))

    async def read(self) -> None:
        reader, tasks = Reader(self.connection), Tasks(self.connection)
        await reader.record(self.ids[1])
        await reader.record_page("t", "RUNNING", 0, 10)
        await tasks.page("t", "", 0, 10)
        for flt in (NO_FILTER, DetailFilter(cluster_name="a"), DetailFilter(package_name="p"), DetailFilter(path="x")):
            await reader.detail_page(self.ids[1], flt, 0, 10)

    async def all(self) -> None:
        for step in (self.merge, self.count_stale, self.read, self.erase, self.sweep):
            await step()


def rules_of(user: str) -> list[str]:
    return [rule for rule in redis_acl.documented_rules(user) if rule.startswith("+")]


async def failure_of(work: Work) -> StoreUnavailable | None:
    """What the store says to all that a collector does; it may be unavailable, and nothing else."""
    try:
        await work.all()
    except StoreUnavailable as error:
        return error
    return None


#: What the work does not come to: it serves to ask what is missing, to check, to load scripts that a server lacks, to
#: find what somebody wrote over checkpoints, or to read wide values and filters of several names among many details.
NOT_MET = {"+discard", "+hstrlen", "+info", "+multi", "+script|load", "+type", "+zmscore"}


@pytest.mark.parametrize("rule", [*rules_of(redis_acl.COLLECTOR), "~"])
async def test_a_collector_waits_for_a_right_that_is_missing_and_says_which(collector: User, rule: str) -> None:
    """Whether it is missing to a call, or to a script; the right to the keys as that to a command."""
    rule = rule if rule != "~" else f"~{collector.prefix}:*"
    async with collector.connected() as connection:
        work = Work(connection, ("r0", "r1"))
        collector.take(rule)
        error = await failure_of(work)
        with pytest.raises(StoreUnavailable) as at_start:
            await connection.check()
        collector.give(rule)
        await connection.check()
        await work.all()
    assert (error is None) == (rule in NOT_MET)
    for met in filter(None, (error, at_start.value)):
        assert met.kind == "noperm"
        assert f" {rule}" in str(met)


async def test_scripts_that_cannot_be_loaded_are_waited_for(collector: User) -> None:
    with connected(collector.url_of_administrator) as client:
        client.script_flush()
    async with collector.connected() as connection:
        collector.take("+script|load")
        error = await failure_of(Work(connection, ("r0", "r1")))
        collector.give("+script|load")
        await Work(connection, ("r0", "r1")).all()
    assert error
    assert error.kind == "noperm"
    assert " +script|load" in str(error)


async def test_all_that_is_missing_is_told_and_logged_once(collector: User) -> None:
    """Until other rights are missing."""
    with structlog.testing.capture_logs() as lines:
        async with collector.connected() as connection:
            for taken in ("+incr", "+hset"):
                collector.take(taken)
                for _ in range(2):
                    with pytest.raises(StoreUnavailable):
                        await connection.check()
            collector.give("+hset")
            collector.give("+incr")
            await connection.check()
            collector.take("+incr")
            with pytest.raises(StoreUnavailable):
                await connection.check()
    told = [line["rights"] for line in lines if line["event"] == "rights_missing"]
    assert told == [["+incr"], ["+hset", "+incr"], ["+incr"]]


async def test_nothing_that_is_asked_is_run(collector: User, redis_server: RedisServer) -> None:
    with connected(redis_server.url) as client:
        before = client.dbsize()
        async with collector.connected() as connection:
            await connection.check()
        assert client.dbsize() == before


class Broken(NamedTuple):
    """A record that the store can never take: a script fails on what its keys hold, without a code of its own."""

    server: RedisServer
    prefix: str

    def put(self) -> None:
        keys = RecordKeys(self.prefix, "broken")
        with connected(self.server.url) as client:
            client.hset(keys.details, "d", "no stored detail")

    @property
    def batch(self) -> Batch:
        return batch_of(finished("broken"))


@pytest.fixture
def broken(redis_server: RedisServer, redis_prefix: str) -> Broken:
    broken = Broken(redis_server, redis_prefix)
    broken.put()
    return broken


async def test_what_a_record_holds_is_its_own_fault(collector: User, broken: Broken) -> None:
    """Where nothing else keeps the server from the call."""
    async with collector.connected() as connection:
        with pytest.raises(StoreRefused):
            await Writer(connection).merge(broken.batch)


@pytest.mark.parametrize("rule", ["+incr", "+multi", "+discard"])
async def test_nothing_is_a_records_fault_while_a_right_is_missing(collector: User, broken: Broken, rule: str) -> None:
    """Nor while it cannot be known whether one is."""
    async with collector.connected() as connection:
        collector.take(rule)
        with pytest.raises(StoreUnavailable) as refused:
            await Writer(connection).merge(broken.batch)
        collector.give(rule)
        with pytest.raises(StoreRefused):
            await Writer(connection).merge(broken.batch)
    assert refused.value.kind == "noperm"


@pytest.mark.parametrize(
    ("setting", "ill", "kind"),
    [("maxmemory", "1", "oom"), ("min-replicas-to-write", "1", "response")],
)
async def test_nothing_is_a_records_fault_while_the_server_takes_no_writes(
    collector: User, broken: Broken, setting: str, ill: str, kind: str
) -> None:
    with connected(broken.server.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set(setting, ill)
        try:
            async with collector.connected() as connection:
                with pytest.raises(StoreUnavailable) as refused:
                    await Writer(connection).merge(batch_of(started("new")))
        finally:
            client.config_set(setting, "0")
    assert refused.value.kind == kind


async def test_a_command_that_the_server_does_not_know_is_no_records_fault(collector: User) -> None:
    needed = (*rights.COLLECTOR, rights.Right("replog.unknown", ("KEY",)))
    async with collector.connected(needed) as connection:
        with pytest.raises(StoreUnavailable) as refused:
            await connection.run([Command("REPLOG.UNKNOWN", [f"{collector.prefix}:{{0}}:x".encode()])])
    assert refused.value.kind == "response"


async def test_a_database_that_there_is_not_is_no_records_fault(redis_server: RedisServer, redis_prefix: str) -> None:
    url = redis_server.url.removesuffix("/0") + "/999999"
    async with Connection(StoreSettings(redis_url=url, redis_prefix=redis_prefix), timeout_s=5) as connection:
        with pytest.raises(StoreUnavailable) as refused:
            await Writer(connection).merge(batch_of(started("r0")))
    assert refused.value.kind == "response"


async def test_another_database_takes_a_right_that_is_named(
    collector: User, redis_server: RedisServer, redis_prefix: str
) -> None:
    settings = StoreSettings(redis_url=collector.url.removesuffix("/0") + "/1", redis_prefix=redis_prefix)
    async with Connection(settings, timeout_s=5) as connection:
        with pytest.raises(StoreUnavailable, match="select") as refused:
            await connection.check()
        collector.give("+select")
        await connection.check()
    assert refused.value.kind == "noperm"


@pytest.mark.parametrize("rule", [*rules_of(redis_acl.QUERY_SERVICE), "~"])
async def test_a_query_service_is_not_ready_while_a_right_is_missing(
    collector: User, query_service: User, rule: str
) -> None:
    """Queries that need it get 503, and none an unexpected error; then it goes on by itself."""
    rule = rule if rule != "~" else f"~{collector.prefix}:*"
    async with collector.connected() as connection:
        await Work(connection, ("r0", "r1")).merge()
    paths = [
        f"{TASKS}/list?pageNumber=1&pageSize=10",
        f"{BASE}/page/t?pageNumber=1&pageSize=10",
        f"{BASE}/detail/page/r0?status=SUCCESS&pageNumber=1&pageSize=10",
        f"{BASE}/overview/r0",
        f"{BASE}/detail/counts/r0",
        f"{BASE}/detail/reasons/r0",
        f"{BASE}/detail/silent/r0",
        f"{BASE}/detail/export/r0?status=SUCCESS",
        f"{TASKS}/runs?key=t",
        f"{TASKS}/silent?pageNumber=1&pageSize=10",
        f"{BASE}/r0",
    ]
    async with serving(query_service.url, query_service.prefix) as service:
        query_service.take(rule)
        answers = {(await service.client.get(path)).status_code for path in paths}
        ready = await service.client.get("/readyz")
        query_service.give(rule)
        again = {(await service.client.get(path)).status_code for path in paths}
        assert (await service.client.get("/readyz")).status_code == httpx.codes.OK
    assert answers <= {200, 503}
    assert (ready.status_code, ready.text) == (503, "redis: noperm\n")
    assert again == {200}


async def test_a_query_service_says_at_its_start_what_is_missing(query_service: User) -> None:
    query_service.take("+zcard")
    with structlog.testing.capture_logs() as lines:
        async with serving(query_service.url, query_service.prefix), asyncio.timeout(DEADLINE_S):
            while not lines:
                await asyncio.sleep(0.01)
    assert [(line["event"], line["rights"]) for line in lines] == [("rights_missing", ["+zcard"])]


async def test_a_query_service_may_not_write(query_service: User) -> None:
    async with query_service.connected() as connection:
        with pytest.raises(StoreUnavailable, match=r"lacks .*\+hset") as refused:
            await Writer(connection).merge(batch_of(started("r0")))
    assert refused.value.kind == "noperm"
