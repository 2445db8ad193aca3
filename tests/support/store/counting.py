"""A store that counts what it is asked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Command
    from replog.store.client.pipelining import CommandRunner


class Counting:
    """A ``CommandRunner`` that counts how many calls of each kind were sent, and how often they were waited for."""

    def __init__(self, connection: CommandRunner) -> None:
        self.prefix = connection.prefix
        self.calls: Counter[str] = Counter()
        self.trips = 0
        self._connection = connection

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """Run ``calls`` on the connection."""
        self.trips += 1
        self.calls.update(call.command if isinstance(call.command, str) else call.command.name for call in calls)
        return await self._connection.run(calls)
