"""The store with a test's steps in between: what another client does, or what fails, at a certain call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from replog.store.client.command import Command
    from replog.store.client.pipelining import CommandRunner
    from replog.store.client.scripts import Script

    Step = Callable[[], Awaitable[None]]


class Intercepted:
    """A ``CommandRunner`` that takes a step before or after each run of calls, some of which are of ``commands``.

    Without ``commands``, it takes the step with every run.
    """

    def __init__(
        self,
        connection: CommandRunner,
        *commands: str | Script,
        before: Step | None = None,
        after: Step | None = None,
    ) -> None:
        self.prefix = connection.prefix
        self._connection = connection
        self._commands = commands
        self._before, self._after = before, after

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """Run ``calls`` on the connection, with the steps."""
        is_met = not self._commands or any(call.command in self._commands for call in calls)
        if is_met and self._before:
            await self._before()
        replies = await self._connection.run(calls)
        if is_met and self._after:
            await self._after()
        return replies
