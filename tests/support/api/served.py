"""Values that the query service's fixtures give to tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.support import streams
    from tests.support.model import Model
    from tests.support.query_service import QueryService


class Serve(Protocol):
    """Stores events and answers queries about them."""

    async def __call__(self, *events: streams.Event) -> QueryService:
        """Store ``events``, beside those stored already."""


@dataclass(frozen=True)
class Awkward:
    """A service over many records under awkward names, and the oracle of them."""

    service: QueryService
    model: Model
