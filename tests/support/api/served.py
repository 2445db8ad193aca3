"""Values that the query service's fixtures give to tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from replog_api.queries.query_runner import now_ms

if TYPE_CHECKING:
    from tests.support import streams
    from tests.support.model import Model
    from tests.support.query_service import QueryService


class Serve(Protocol):
    """Stores events and answers queries about them."""

    async def __call__(self, *events: streams.Event) -> QueryService:
        """Store ``events``, beside those stored already."""


class ServiceClock:
    """The time, in ms since 1970, that a service renders answers as of: the real one until it is set."""

    def __init__(self) -> None:
        self.fixed_ms: int | None = None

    def __call__(self) -> int:
        """The time now."""
        return now_ms() if self.fixed_ms is None else self.fixed_ms


@dataclass(frozen=True)
class Awkward:
    """A service over many records under awkward names, and the oracle of them."""

    service: QueryService
    model: Model
