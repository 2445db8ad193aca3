"""Fixtures of the query service's tests: a service of one's own, and one over a large awkward stream."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import pytest

from replog_api.queries import query_runner
from tests.support import streams
from tests.support.api.polling import START_MS
from tests.support.api.served import Awkward, Serve
from tests.support.model import Model
from tests.support.query_service import QueryService, serving, write
from tests.support.services.redis import remove_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SEED = 20210512


@pytest.fixture
async def service(redis_url: str, redis_prefix: str) -> AsyncIterator[QueryService]:
    """A service over an empty store."""
    async with serving(redis_url, redis_prefix) as running:
        yield running


@pytest.fixture
async def serve(service: QueryService, redis_url: str, redis_prefix: str) -> Serve:
    """Stores events under the prefix of ``service``."""

    async def stored(*events: streams.Event) -> QueryService:
        await write(redis_url, redis_prefix, events)
        return service

    return stored


@pytest.fixture(scope="module")
async def awkward(redis_url: str) -> AsyncIterator[Awkward]:
    """Written once a module; its tests only read."""
    prefix = f"replog-test-{uuid.uuid4().hex}"
    events = streams.awkward_stream(Random(SEED))
    await write(redis_url, prefix, events)
    async with serving(redis_url, prefix) as running:
        yield Awkward(running, Model(events, now=datetime.now(UTC)))
    remove_keys(redis_url, prefix)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The service's clock: its only element, in ms."""
    now = [START_MS]
    monkeypatch.setattr(query_runner, "_now_ms", lambda: now[0])
    return now  # type: ignore[return-value]
