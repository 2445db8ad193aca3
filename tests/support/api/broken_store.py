"""A read port that fails in a way that nobody expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.store.read.queries import StoreQueries
from tests.support.store.intercepted import Intercepted

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner


def broken_store(connection: CommandRunner) -> StoreQueries:
    """Queries that all raise an error which has no place in the tree of errors."""
    return StoreQueries(Intercepted(connection, before=_fail))


async def _fail() -> None:
    raise RuntimeError("a secret of the inside")
