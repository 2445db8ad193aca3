"""What `replog doctor` and a process at its start observe of real servers: well set up, badly, or not there."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from replog.errors import StoreUnavailable
from replog.settings import ClientSettings, CollectorSettings, StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.client.weaknesses import log_weaknesses
from replog.store.format.keys import BucketKeys
from replog.store.format.layout import LAYOUT
from replog.store.read.stored_checkpoints import has_checkpoints, read_checkpoints
from replog.store.write.layout_claim import claim_layout
from replog_repair.diagnosis.checking.store_checks import store_checks
from replog_repair.diagnosis.observing.observer import TimeLimits, observe
from replog_repair.diagnosis.observing.store_observation import observe_store
from replog_repair.diagnosis.unknown import Unknown
from tests.support import observations
from tests.support.services import redis_acl
from tests.support.services.redis import OwnRedis, connected
from tests.support.services.redis_user import User

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from replog.store.write.checkpoints import Checkpoints
    from replog_repair.diagnosis.observations import StoreObservation
    from tests.support.services.redis import RedisServer

TIMEOUT_S = 20.0
#: For servers that never answer.
SHORT = TimeLimits(answer_s=0.5, area_s=2.0)


def verdicts(store: StoreObservation) -> dict[str, str]:
    """What is not passed; how fast this machine is does not matter."""
    checks = store_checks(observations.observations(store=replace(store, latencies_s=[])))
    return {check.name: check.verdict for check in checks if check.verdict != "pass"}


async def observed(url: str, prefix: str) -> StoreObservation:
    return await observe_store(StoreSettings(redis_url=url, redis_prefix=prefix), answer_timeout_s=TIMEOUT_S)


@pytest.fixture
def own_redis(redis_binary: Path, tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis for a test that changes its settings."""
    server = OwnRedis(redis_binary, tmp_path)
    server.start()
    yield server
    server.close()


@pytest.mark.every_topology
async def test_a_redis_that_is_set_up_well(redis_url: str, redis_prefix: str) -> None:
    async with Connection(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=TIMEOUT_S) as store:
        await claim_layout(store)
    found = await observed(redis_url, redis_prefix)
    assert verdicts(found) == {}
    assert len(found.latencies_s) > 1
    assert not isinstance(found.layouts, Unknown)
    assert [layout.split()[0] for layout in found.layouts] == [str(LAYOUT)]
    assert found.has_data is False


async def test_settings_of_redis(own_redis: OwnRedis) -> None:
    with connected(own_redis.url) as administrator:
        administrator.config_set("appendonly", "no")
        administrator.config_set("save", "")
        administrator.config_set("maxmemory-policy", "allkeys-lru")
        administrator.config_set("maxmemory", 1)
    found = await observed(own_redis.url, "p")
    assert verdicts(found) == {"persistence": "warn", "eviction": "warn", "memory": "fail"}
    assert found.settings == {"save": [""], "appendfsync": ["everysec"]}


async def test_a_replica(own_redis: OwnRedis) -> None:
    with connected(own_redis.url) as administrator:
        administrator.replicaof("127.0.0.1", "1")
    assert verdicts(await observed(own_redis.url, "p")) == {"role": "fail"}


async def test_processes_log_what_is_a_warning(own_redis: OwnRedis) -> None:
    """By INFO alone, so the documented rights are enough; and nothing where nothing is wrong."""
    user = User(own_redis, "p", redis_acl.QUERY_SERVICE)
    async with user.connected() as connection:
        with capture_logs() as lines:
            await log_weaknesses(connection)
        assert lines == []
        with connected(own_redis.url) as administrator:
            administrator.config_set("appendonly", "no")
            administrator.config_set("maxmemory-policy", "allkeys-lru")
        with capture_logs() as lines:
            await log_weaknesses(connection)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("append_only_off", "warning"),
        ("eviction_on", "warning"),
    ]
    assert lines[1]["policies"] == ["allkeys-lru"]


@pytest.mark.parametrize("like", redis_acl.USERS)
async def test_a_user_with_the_documented_rights(redis_server: RedisServer, redis_prefix: str, like: str) -> None:
    """Is recognised by what it may do; what CONFIG GET would say is unknown, and nothing fails for that."""
    user = User(redis_server, redis_prefix, like)
    try:
        found = await observed(user.url, redis_prefix)
    finally:
        user.remove()
    assert found.settings == {"save": [None], "appendfsync": [None]}
    reader = {"rights.collector": "warn"}
    assert verdicts(found) == (reader if like == redis_acl.QUERY_SERVICE else {})


async def test_each_missing_right_is_named(redis_server: RedisServer, redis_prefix: str) -> None:
    user = User(redis_server, redis_prefix, redis_acl.COLLECTOR)
    try:
        for rule in ("+zadd", "+hget", "+get"):
            user.take(rule)
        found = await observed(user.url, redis_prefix)
    finally:
        user.remove()
    assert not isinstance(found.missing_rights, Unknown)
    assert sorted(found.missing_rights) == ["+get", "+hget", "+zadd"]
    failed = {"rights.collector": "fail", "rights.query-service": "fail"}
    assert verdicts(found).items() >= failed.items()


async def test_a_user_that_may_not_look_at_the_server(redis_server: RedisServer, redis_prefix: str) -> None:
    user = User(redis_server, redis_prefix, redis_acl.COLLECTOR)
    try:
        user.take("+info")
        with pytest.raises(StoreUnavailable, match=r"\+info") as refused:
            await observed(user.url, redis_prefix)
    finally:
        user.remove()
    assert refused.value.kind == "noperm"


@pytest.mark.every_topology
async def test_checkpoints_are_read_as_collectors_read_them(connection: Connection, checkpoints: Checkpoints) -> None:
    assert await read_checkpoints(connection, group="g", topic="t") == {0: 10, 1: 5}
    assert await read_checkpoints(connection, group="g", topic="other") == {}
    assert await has_checkpoints(connection)


async def test_what_cannot_be_read_is_no_checkpoint_and_stays(connection: Connection, checkpoints: Checkpoints) -> None:
    """A collector would remove it."""
    applied = BucketKeys(connection.prefix, 3).applied
    await connection.run([Command("HSET", [applied], ["g:t:0", "garbage"]), Command("HDEL", [applied], ["g:t:1"])])
    assert await read_checkpoints(connection, group="g", topic="t") == {0: None, 1: None}
    assert await connection.run([Command("HGET", [applied], ["g:t:0"])]) == [b"garbage"]


async def test_a_prefix_without_checkpoints(connection: Connection) -> None:
    assert not await has_checkpoints(connection)
    assert await read_checkpoints(connection, group="g", topic="t") == {}


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def settings_at(port: int) -> tuple[CollectorSettings, ClientSettings]:
    return (
        CollectorSettings(kafka_bootstrap_servers=f"127.0.0.1:{port}", redis_url=f"redis://127.0.0.1:{port}"),
        ClientSettings(api_url=f"http://127.0.0.1:{port}"),
    )


async def test_servers_that_never_answer_are_given_up() -> None:
    with silent_server() as port:
        async with asyncio.timeout(TIMEOUT_S):
            found = await observe(*settings_at(port), limits=SHORT)
    for part in (found.kafka, found.store, found.api, found.checkpoints):
        assert isinstance(part, Unknown)
        assert not part.untold


async def test_servers_that_are_not_there() -> None:
    with silent_server() as port:
        pass
    found = await observe(*settings_at(port), limits=SHORT)
    assert [part.kind for part in (found.kafka, found.store, found.api) if isinstance(part, Unknown)] == [
        "unavailable",
        "connection",
        "unavailable",
    ]
