"""The stores that hold the same details."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from replog.store.client.connection import Connection
    from tests.benchmarks.plain_store import PlainStore
    from tests.benchmarks.postgres import Postgres


class Stores(NamedTuple):
    """Ours, with the URL and pid of its Redis, and what stands beside it; ``postgres`` is None where it is left out."""

    ours: Connection
    url: str
    pid: int
    plain: PlainStore
    postgres: Postgres | None
