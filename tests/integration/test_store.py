"""The store on a real Redis, against the oracle."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.client.scripts import FACETS
from replog.store.read.filters import NO_FILTER, DetailFilter
from replog.store.read.reader import Reader
from replog.store.write.writer import Writer
from tests.support.model import Model
from tests.support.services.redis import connected, servers_of
from tests.support.store.answers import answers, expected
from tests.support.store.batches import batch_of, forget, many_events
from tests.support.store.indexes import assert_indexes_agree
from tests.support.store.intercepted import Intercepted
from tests.support.strategies import Event, streams

pytestmark = pytest.mark.every_topology


@given(streams, st.integers(1, 5), st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_any_order_duplication_and_batching_ends_in_what_the_contract_says(
    redis_url: str, redis_prefix: str, stream: list[Event], size: int, chance: random.Random
) -> None:
    replayed = stream + chance.choices(stream, k=len(stream))
    chance.shuffle(replayed)
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=5) as connection:
        await forget(connection)
        for i in range(0, len(replayed), size):
            await Writer(connection).merge(batch_of(replayed[i : i + size]))
        model = Model(stream)
        assert await answers(connection, model) == expected(model)


@given(streams)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
async def test_indexes_hold_nothing_but_what_the_details_say(
    redis_url: str, redis_prefix: str, stream: list[Event]
) -> None:
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=5) as connection:
        await forget(connection)
        for event in stream:
            await Writer(connection).merge(batch_of([event]))
        for record_id in Model(stream).record_ids:
            await assert_indexes_agree(connection, record_id)


async def test_two_writers_at_once_end_in_the_same_state(connection: Connection) -> None:
    chance = random.Random(7)
    stream = many_events(chance, 600)
    shuffled = random.Random(8).sample(stream, len(stream))

    async def write(events: list[Event]) -> None:
        for i in range(0, len(events), 25):
            await Writer(connection).merge(batch_of(events[i : i + 25]))

    await asyncio.gather(write(stream), write(shuffled))
    model = Model(stream)
    assert await answers(connection, model) == expected(model)


async def test_scripts_that_redis_forgot_are_loaded_again(connection: Connection, redis_url: str) -> None:
    event = {"type": "detail.started", "recordId": "r", "detailId": "d", "eventTime": "2021-05-12T12:00:00Z"}
    await Writer(connection).merge(batch_of([event]))
    for server in servers_of(redis_url):
        with connected(server) as client:
            client.script_flush()
    await Writer(connection).merge(batch_of([event, {**event, "recordId": "r2"}]))
    page = await Reader(connection).detail_page("r2", NO_FILTER, 0, 10)
    assert page is not None
    assert page.total == 1


async def test_a_page_that_changes_while_it_is_read_is_read_again(connection: Connection) -> None:
    event = {
        "type": "detail.started",
        "recordId": "r",
        "detailId": "d1",
        "eventTime": "2021-05-12T12:00:00Z",
        "remoteCluster": "a",
    }
    await Writer(connection).merge(batch_of([event]))
    late = iter([batch_of([{**event, "detailId": "d2"}])])

    async def change() -> None:
        for batch in late:
            await Writer(connection).merge(batch)

    reader = Reader(Intercepted(connection, FACETS, after=change))
    page = await reader.detail_page("r", DetailFilter(cluster_name="a"), 0, 10)
    assert page is not None
    assert [row.detail_id for row in page.rows] == [b"d2", b"d1"]
    assert page.total == 2


async def test_a_long_tie_between_registers_is_decided_by_bytes_not_by_locale(connection: Connection) -> None:
    same = {
        "type": "detail.finished",
        "recordId": "r",
        "detailId": "d",
        "eventTime": "2021-05-12T12:00:00Z",
        "status": "FAILED",
    }
    # Locales sort a before B; bytes do not.
    for reason in ("x" * 1000 + "a", "x" * 1000 + "B"):
        await Writer(connection).merge(batch_of([{**same, "errorReason": reason}]))
    page = await Reader(connection).detail_page("r", NO_FILTER, 0, 10)
    assert page is not None
    assert page.rows[0].read().error_reason == "x" * 1000 + "a"
