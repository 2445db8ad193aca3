"""Settings of Redis itself, by ``CONFIG GET``. Neither service needs that right, and some providers deny it to all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replog.store.client.connection import Connection


async def server_setting(connection: Connection, name: str) -> list[str | None]:
    """The value of a setting, at each master; None where that does not tell. Raises StoreUnavailable."""
    return [_value_of(reply) for reply in await connection.ask("CONFIG", "GET", name)]


def _value_of(reply: Any) -> str | None:
    match reply:
        case [bytes(), bytes(value)]:
            return value.decode(errors="replace")
    return None
