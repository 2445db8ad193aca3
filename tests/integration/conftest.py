"""What the tests of the store share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replog.store.write.checkpoints import Checkpoints
from tests.support.administered import AdministeredConnection
from tests.support.services.redis import remove_keys
from tests.support.services.redis_acl import url_as_operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.store.client.connection import Connection


@pytest.fixture
async def connection(redis_url: str, redis_prefix: str, request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    """To the store of this test; as the operator's commands have it, where the test is marked ``as_operator``."""
    url = url_as_operator(redis_url) if request.node.get_closest_marker("as_operator") else redis_url
    async with AdministeredConnection(url, redis_prefix) as connection:
        yield connection


@pytest.fixture
async def checkpoints(connection: Connection) -> Checkpoints:
    """Of two partitions, begun."""
    checkpoints = Checkpoints(connection, group="g", topic="t")
    await checkpoints.begin({0: 10, 1: 5})
    return checkpoints


@pytest.fixture
async def copied(redis_url: str, redis_prefix: str) -> AsyncIterator[Connection]:
    """To the store that copies and rebuilds go to, as the operator's commands have it."""
    prefix = f"{redis_prefix}-copy"
    async with AdministeredConnection(url_as_operator(redis_url), prefix) as connection:
        yield connection
    remove_keys(redis_url, prefix)
