"""The state of one Redis server, as its INFO tells, as far as it matters to the store. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The policy with which a full server refuses writes, and removes nothing.
NO_EVICTION = "noeviction"


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server. None stands for what it does not tell."""

    version: str
    #: ``master`` or ``slave``.
    role: str
    #: Whether it keeps an append-only file.
    append_only: bool | None
    #: Whether its last write of that file, or its last snapshot, failed.
    persistence_failed: bool
    #: Policy by which keys are removed from a full server.
    eviction: str | None
    #: Bytes in use, the limit (0: none), and the memory of its machine.
    used_bytes: int | None
    limit_bytes: int | None
    machine_bytes: int | None
    #: Its clock, in microseconds since 1970.
    time_us: int | None

    @property
    def evicts(self) -> bool:
        """Whether it removes keys where it is full."""
        return self.eviction not in {None, NO_EVICTION}


def state_of(info: Mapping[str, Any]) -> ServerState:
    """The state that the sections of an INFO tell, as the driver parses them."""
    failed = {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")} - {None, "ok"}
    append_only = _number(info, "aof_enabled")
    return ServerState(
        version=str(info["redis_version"]),
        role=str(info.get("role", "")),
        append_only=None if append_only is None else bool(append_only),
        persistence_failed=bool(failed),
        eviction=info.get("maxmemory_policy"),
        used_bytes=_number(info, "used_memory"),
        limit_bytes=_number(info, "maxmemory"),
        machine_bytes=_number(info, "total_system_memory"),
        time_us=_number(info, "server_time_usec"),
    )


def _number(info: Mapping[str, Any], name: str) -> int | None:
    value = info.get(name)
    return value if isinstance(value, int) else None
