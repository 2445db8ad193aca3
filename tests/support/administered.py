"""A connection to the store for tests that also do to it what no process does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replog.settings import StoreSettings
from replog.store.client.connection import Connection
from tests.support.services.redis_acl import url_as_administrator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from replog.store.client.command import Command

#: Commands of tests: they write over keys, look into them, or run a script of their own. No process may send them.
OF_TESTS = frozenset({"DEL", "EVAL", "HKEYS", "RPUSH"})


class AdministeredConnection(Connection):
    """Sends calls as the user of ``redis_url``, but those with a command of :data:`OF_TESTS` as the administrator."""

    def __init__(self, redis_url: str, redis_prefix: str, *, timeout_s: float = 5) -> None:
        super().__init__(StoreSettings(redis_url=redis_url, redis_prefix=redis_prefix), timeout_s=timeout_s)
        administrator = StoreSettings(redis_url=url_as_administrator(redis_url), redis_prefix=redis_prefix)
        self._administrator = Connection(administrator, timeout_s=timeout_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._administrator.__aexit__(kind, error, trace)
        await super().__aexit__(kind, error, trace)

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """As :meth:`Connection.run`."""
        if any(call.command in OF_TESTS for call in calls):
            return await self._administrator.run(calls)
        return await super().run(calls)
