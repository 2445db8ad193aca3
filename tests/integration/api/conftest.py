"""Fixtures of the query service's tests: a service of one's own, and one over a large awkward stream."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import pytest

from replog_api.admission.waiting_clients import Timings
from tests.support import streams
from tests.support.api.polling import START_MS
from tests.support.api.served import Awkward, Serve, ServiceClock
from tests.support.model import Model
from tests.support.query_service import QueryService, serving, write
from tests.support.services.redis import remove_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SEED = 20210512


@pytest.fixture
def timings() -> Timings:
    """How often ``service`` looks for changes."""
    return Timings()


@pytest.fixture
def service_clock() -> ServiceClock:
    """The clock of ``service``."""
    return ServiceClock()


@pytest.fixture
async def service(
    redis_url: str, redis_prefix: str, timings: Timings, service_clock: ServiceClock
) -> AsyncIterator[QueryService]:
    """A service over an empty store."""
    async with serving(redis_url, redis_prefix, timings=timings, clock=service_clock) as running:
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
def clock(service_clock: ServiceClock) -> ServiceClock:
    """The clock of ``service``, which stands still at the beginning of 2021's tests."""
    service_clock.fixed_ms = START_MS
    return service_clock
