"""One command of the store, as it is sent to Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.scripts import Script


class Command(NamedTuple):
    """One command of a batch. ``keys`` all lie in one slot."""

    # A page of tasks takes hundreds: a frozen dataclass takes twice as long to make.

    command: str | Script
    keys: Sequence[bytes]
    arguments: Sequence[Any] = ()

    def words(self) -> tuple[Any, ...]:
        """The command as it goes over the wire."""
        if isinstance(self.command, str):
            return (self.command, *self.keys, *self.arguments)
        return ("EVALSHA", self.command.sha, len(self.keys), *self.keys, *self.arguments)
