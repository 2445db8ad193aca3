"""What a key's content makes impossible is told apart from a Redis that cannot serve now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replog.errors import StoreRefused, StoreUnavailable
from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from replog.store.format.keys import RecordKeys
from replog.store.write.writer import Writer
from tests.support.services.redis import connected
from tests.support.store.batches import batch_of

if TYPE_CHECKING:
    from tests.support.services.redis import RedisServer

STARTED = {"type": "record.started", "taskKey": "t", "eventTime": "2021-05-12T12:00:00Z"}


async def test_a_key_of_the_wrong_type_refuses_its_record_alone(redis_server: RedisServer, redis_prefix: str) -> None:
    settings = StoreSettings(redis_url=redis_server.url, redis_prefix=redis_prefix)
    with connected(redis_server.url) as client:
        client.set(RecordKeys(redis_prefix, "broken").all[0], "no hash")
    async with Connection(settings, timeout_s=5) as connection:
        writer = Writer(connection)
        with pytest.raises(StoreRefused, match="WRONGTYPE"):
            await writer.merge(batch_of([STARTED | {"recordId": "broken"}, STARTED | {"recordId": "good"}]))
        await writer.merge(batch_of([STARTED | {"recordId": "good"}]))


async def test_a_redis_that_is_full_is_unavailable_and_refuses_nothing(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    settings = StoreSettings(redis_url=redis_server.url, redis_prefix=redis_prefix)
    with connected(redis_server.url) as client:
        # Less than any server takes for itself.
        client.config_set("maxmemory", "1")
        client.config_set("maxmemory-policy", "noeviction")
        try:
            async with Connection(settings, timeout_s=5) as connection:
                with pytest.raises(StoreUnavailable) as full:
                    await Writer(connection).merge(batch_of([STARTED | {"recordId": "r"}]))
        finally:
            client.config_set("maxmemory", "0")
    assert full.value.kind == "oom"


async def test_a_redis_without_enough_replicas_is_unavailable(redis_server: RedisServer, redis_prefix: str) -> None:
    settings = StoreSettings(redis_url=redis_server.url, redis_prefix=redis_prefix)
    with connected(redis_server.url) as client:
        client.config_set("min-replicas-to-write", "1")
        try:
            async with Connection(settings, timeout_s=5) as connection:
                with pytest.raises(StoreUnavailable):
                    await Writer(connection).merge(batch_of([STARTED | {"recordId": "r"}]))
        finally:
            client.config_set("min-replicas-to-write", "0")
