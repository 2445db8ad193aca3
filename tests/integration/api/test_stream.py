"""A record, live: over real connections and a real store."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from replog_api.admission.limits import Limits
from replog_api.admission.waiting_clients import Timings
from replog_api.contracts import schemas
from replog_api.server.connections import ConnectionLimits
from tests.support.api.polling import swept
from tests.support.api.refusals import refused
from tests.support.api.tokens import ALL, MINE, STRANGE, TOKENS, bearer
from tests.support.live import DEADLINE_S, Viewer, live, unread, until
from tests.support.query_service import BASE, event, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.live import LiveService
    from tests.support.streams import Event

INTERVAL_S = 0.05
TIMINGS = Timings(interval_s=INTERVAL_S, settled_s=5 * INTERVAL_S)
#: Of clients that are told more than they take.
OFTEN = replace(TIMINGS, interval_s=0.005)
CLIENTS = "replog_stream_clients"
LOOKS = 'replog_store_seconds_count{operation="watch"}'


class Store:
    """What the tests write into."""

    def __init__(self, url: str, prefix: str) -> None:
        self.url = url
        self.prefix = prefix

    async def has(self, *events: Event) -> None:
        """Store events."""
        await write(self.url, self.prefix, events)


@pytest.fixture
def store(redis_url: str, redis_prefix: str) -> Store:
    """An empty one."""
    return Store(redis_url, redis_prefix)


@pytest.fixture
async def service(store: Store) -> AsyncIterator[LiveService]:
    """A service over it, which knows the record ``r``."""
    await store.has(event("record.started", expectedDetails=2))
    async with live(store.url, store.prefix, timings=TIMINGS) as running:
        yield running


def states(events: Sequence[schemas.Watched]) -> list[tuple[str, int, int]]:
    """Status, RUNNING and finished details of each."""
    return [(one.record.status, one.overview.running, one.overview.success) for one in events]


@pytest.mark.every_topology
async def test_a_run_is_seen_as_it_happens(service: LiveService, store: Store) -> None:
    """From its start to its end, as ``GET /{recordId}`` says at each moment."""
    async with Viewer(service) as viewer:
        assert viewer.answer
        assert viewer.answer.status_code == 200
        for name, value in (
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
            ("x-bkrepo-time-zone", "+0000"),
        ):
            assert viewer.answer.headers[name] == value
        await until(lambda: viewer.kinds == ["snapshot"])
        for changes in (
            [event("detail.started"), event("detail.started", detailId="e")],
            [event("detail.finished", status="SUCCESS", at="2021-05-12T12:00:01Z")],
            [
                event("detail.finished", detailId="e", status="SUCCESS", at="2021-05-12T12:00:02Z"),
                event("record.finished", status="SUCCESS", at="2021-05-12T12:00:02Z"),
            ],
        ):
            seen = len(viewer.events)
            await store.has(*changes)
            await until(lambda seen=seen: len(viewer.events) > seen)  # type: ignore[misc]
            told = dict(viewer.events[-1].data)
            assert told.pop("overview") == (await service.client.get(f"{BASE}/overview/r")).json()["data"]
            assert {**told} == {**(await service.client.get(f"{BASE}/r")).json()["data"]} | (
                {"reason": told["reason"]} if "reason" in told else {}
            )
        await until(lambda: viewer.over)
        assert viewer.text.startswith("retry: 2000\n\n")
        told_all = [schemas.Watched.model_validate(one.data) for one in viewer.events]
        distinct = list(dict.fromkeys(states(told_all)))
        assert distinct == [("RUNNING", 0, 0), ("RUNNING", 2, 0), ("RUNNING", 1, 1), ("SUCCESS", 0, 2)]
        assert (viewer.kinds[0], viewer.kinds[-1]) == ("snapshot", "end")
        assert set(viewer.kinds[1:-1]) == {"change"}
    again = await service.client.get(f"{BASE}/stream/r", headers={"Last-Event-ID": viewer.events[-1].id})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.every_topology
async def test_a_record_that_is_removed_has_an_end(service: LiveService, store: Store) -> None:
    """Which says so; afterwards there is no such record."""
    async with Viewer(service) as viewer:
        await until(lambda: viewer.kinds == ["snapshot"])
        await swept(store.url, store.prefix)
        await until(lambda: viewer.over)
        assert viewer.kinds == ["snapshot", "end"]
        assert viewer.events[-1].data == viewer.events[0].data | {"reason": "removed"}
    refused(await service.client.get(f"{BASE}/stream/r"), 400, 250310)


async def test_a_record_that_is_erased_has_an_end(service: LiveService, store: Store) -> None:
    """As one that is removed; what comes later is another beginning."""
    async with Viewer(service) as viewer:
        await until(lambda: viewer.kinds == ["snapshot"])
        erasure = event("record.erased")
        await store.has(erasure)
        await until(lambda: viewer.over)
        assert viewer.events[-1].data == viewer.events[0].data | {"reason": "removed"}
    refused(await service.client.get(f"{BASE}/stream/r"), 400, 250310)
    await store.has(event("record.started"), event("record.progressed", eventTime="2099-01-01T00:00:00Z"))
    async with Viewer(service) as viewer:
        await until(lambda: viewer.kinds == ["snapshot"])
        assert viewer.events[0].data["record"]["startTime"] == "2099-01-01T00:00:00.000"


async def test_who_comes_again_resumes_at_another_process(service: LiveService, store: Store) -> None:
    """Ids are those of the state, not of a connection."""
    async with Viewer(service) as viewer, live(store.url, store.prefix, timings=TIMINGS) as other:
        await until(lambda: viewer.kinds == ["snapshot"])
        async with Viewer(other, last_event_id=viewer.events[0].id) as again:
            await until(lambda: bool(again.text))
            await store.has(event("detail.started"))
            await until(lambda: again.kinds == ["change"] and viewer.kinds == ["snapshot", "change"])
            assert again.events[0] == viewer.events[1]


async def test_times_are_in_the_zone_that_is_asked_for(service: LiveService) -> None:
    """And ids are of it; a zone that nobody knows is as none."""
    async with (
        Viewer(service) as utc,
        Viewer(service, x_bkrepo_time_zone="Asia/Shanghai") as chinese,
        Viewer(service, x_bkrepo_time_zone="Mars") as martian,
    ):
        await until(lambda: utc.kinds == chinese.kinds == martian.kinds == ["snapshot"])
        for viewer, offset in ((utc, "+0000"), (chinese, "+0800"), (martian, "+0000")):
            assert viewer.answer
            assert viewer.answer.headers["x-bkrepo-time-zone"] == offset
        assert martian.events == utc.events
        assert utc.events[0].data["record"]["startTime"] == "2021-05-12T12:00:00.000"
        assert chinese.events[0].data["record"]["startTime"] == "2021-05-12T20:00:00.000"
        assert utc.events[0].id != chinese.events[0].id


async def test_what_is_wrong_is_said_in_the_envelope(service: LiveService, store: Store) -> None:
    """Before a stream begins, and in the language of the client; of a record that has details only nothing is known."""
    await store.has(event("detail.started", recordId="d"))
    path = f"{BASE}/stream"
    # A stream in place of a refusal would never end.
    async with asyncio.timeout(DEADLINE_S):
        for record_id in ("unknown", "d"):
            answer = await service.client.get(f"{path}/{record_id}", headers={"Accept-Language": "zh"})
            refused(answer, 400, 250310)
            assert answer.json()["message"] == f"未找到 id 为 {record_id} 的执行记录"
        refused(await service.client.get(f"{path}/{'x' * 129}"), 400, 250131)
        refused(await service.client.post(f"{path}/r"), 405, 250112)
        assert (await service.client.head(f"{path}/r")).status_code == 405


async def test_a_token_streams_what_it_may_read(store: Store) -> None:
    """Nothing else, and is not told whether there is anything else."""
    await store.has(
        event("record.started", recordId="m", taskKey="mine/t"), event("record.started", recordId="o", taskKey="others")
    )
    async with live(store.url, store.prefix, timings=TIMINGS, api_tokens=TOKENS) as service:
        for record_id, secret, status in (
            ("m", STRANGE, 401),
            ("o", MINE, 403),
            ("unknown", MINE, 403),
            ("unknown", ALL, 400),
        ):
            answer = await service.client.get(f"{BASE}/stream/{record_id}", headers=bearer(secret))
            assert answer.status_code == status
        for record_id, secret in (("m", MINE), ("m", ALL), ("o", ALL)):
            async with Viewer(service, record_id, **bearer(secret)) as viewer:
                await until(lambda viewer=viewer: viewer.kinds == ["snapshot"])  # type: ignore[misc]


async def test_a_stream_is_one_request(store: Store) -> None:
    """However long it lasts."""
    await store.has(event("record.started"))
    async with (
        live(store.url, store.prefix, timings=TIMINGS, api_requests_per_s=0.01) as service,
        Viewer(service) as viewer,
    ):
        for number in range(1, 6):
            await store.has(event("detail.started", detailId=f"d{number}"))
            await until(lambda seen=number: len(viewer.events) == 1 + seen)  # type: ignore[misc]
        refused(await service.client.get(f"{BASE}/r"), 429, 250124)
        await store.has(event("detail.started", detailId="d6"))
        await until(lambda: len(viewer.events) == 7)


async def test_who_leaves_is_watched_for_no_more(service: LiveService) -> None:
    """The last one ends the looking."""
    async with Viewer(service) as one:
        async with Viewer(service) as two:
            await until(lambda: one.kinds == two.kinds == ["snapshot"])
            await service.metric_is(CLIENTS, 2)
        await service.metric_is(CLIENTS, 1)
        looks = await service.metric(LOOKS)
        await service.metric_passes(LOOKS, looks + 2)
    await service.metric_is(CLIENTS, 0)
    looks = await service.metric(LOOKS)
    await asyncio.sleep(3 * INTERVAL_S)
    assert await service.metric(LOOKS) <= looks + 1


async def test_more_than_may_wait_are_refused(store: Store) -> None:
    """In the envelope; there is room again once somebody goes."""
    await store.has(event("record.started"))
    async with live(store.url, store.prefix, timings=TIMINGS, limits=Limits(most_waiting_clients=1)) as service:
        async with Viewer(service) as viewer:
            await until(lambda: viewer.kinds == ["snapshot"])
            answer = await service.client.get(f"{BASE}/stream/r", headers={"Accept-Language": "zh"})
            refused(answer, 503, 250102)
            assert answer.headers["retry-after"] == "2"
            assert "等待变更的客户端过多" in answer.json()["message"]
        await service.metric_is(CLIENTS, 0)
        async with Viewer(service) as viewer:
            await until(lambda: viewer.kinds == ["snapshot"])


def progress(number: int) -> Event:
    """A change of a record that takes many bytes to tell."""
    at = f"2021-05-12T12:{number // 60:02}:{number % 60:02}Z"
    return event("record.progressed", taskKey="日" * 128, replicatedBytes=number, at=at)


async def test_a_client_that_takes_nothing_is_cut_off(store: Store) -> None:
    """And until then little is kept for it, however much there was to say; others are told all of it."""
    limits = ConnectionLimits(stalled_s=10 * INTERVAL_S)
    await store.has(progress(0))
    async with live(store.url, store.prefix, timings=OFTEN, send_bytes=4096, connection_limits=limits) as service:
        client = await unread(service, f"{BASE}/stream/r")
        try:
            await service.metric_is(CLIENTS, 1)
            (connection,) = service.connections("/stream/")
            async with Viewer(service) as viewer:
                most = number = 0
                began_s = time.monotonic()
                while connection in service.connections():
                    assert time.monotonic() < began_s + DEADLINE_S
                    number += 1
                    await store.has(progress(number))
                    most = max(most, connection.transport.get_write_buffer_size())
                await service.metric_is(CLIENTS, 1)
                assert most > 65_536
                assert most < 65_536 + 4096
                told = len(viewer.events)
                await store.has(progress(number + 1))
                await until(lambda: len(viewer.events) > told)
        finally:
            client.close()


async def test_a_stopping_service_does_not_wait_for_a_client_that_takes_nothing(store: Store) -> None:
    """It is cut off sooner than else; one that takes what comes gets all of its answer."""
    limits = ConnectionLimits(stalled_at_stop_s=5 * INTERVAL_S)
    await store.has(progress(0))
    async with live(store.url, store.prefix, timings=OFTEN, send_bytes=4096, connection_limits=limits) as service:
        client = await unread(service, f"{BASE}/stream/r")
        await service.metric_is(CLIENTS, 1)
        (connection,) = service.connections("/stream/")
        number = 0
        while connection._next_look is None:
            number += 1
            await store.has(progress(number))
        async with Viewer(service) as viewer:
            await until(lambda: viewer.kinds == ["snapshot"])
            began_s = time.monotonic()
            service.server.should_exit = True
            await until(lambda: not service.connections())
            assert time.monotonic() - began_s < ConnectionLimits().stalled_s / 3
            await until(lambda: viewer.over)
            assert ": the service stops\nretry: " in viewer.text
        client.close()
