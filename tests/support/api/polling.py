"""A browser that polls, and what makes its answer another one: time and retention."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from replog.settings import StoreSettings, load
from replog.store.client.connection import Connection
from replog.store.maintain.retention import Policy, Retention
from tests.support.query_service import BASE

if TYPE_CHECKING:
    from tests.support.query_service import QueryService

START_MS = 1_620_820_800_000  # 2021-05-12T12:00:00Z


class Poller:
    """Asks one URL over and over as a browser does: with the tag of what it has."""

    def __init__(self, service: QueryService, path: str, **headers: str) -> None:
        self._service = service
        self._path = path if path.startswith("/") else f"{BASE}/{path}"
        self._headers = headers
        self.tag = ""
        self.data: Any = None

    async def poll(self) -> int:
        """The status; whatever it is, what the poller has then has to be what anybody gets who asks without a tag."""
        asked = self._headers | ({"If-None-Match": self.tag} if self.tag else {})
        answer = await self._service.client.get(self._path, headers=asked)
        if answer.status_code == 304:
            assert (answer.content, answer.headers["etag"]) == (b"", self.tag)
            assert answer.headers["cache-control"] == "private, no-cache"
        else:
            self.data, self.tag = answer.json()["data"], answer.headers.get("etag", "")
        whole = await self._service.client.get(self._path, headers=self._headers)
        assert whole.json()["data"] == self.data
        assert (whole.status_code == 200) == bool(self.tag)
        return answer.status_code


async def swept(url: str, prefix: str) -> None:
    """Remove everything that is over, as a collector does later on."""
    async with Connection(load(StoreSettings, redis_url=url, redis_prefix=prefix), timeout_s=10) as connection:
        later = time.time() + 120
        assert await Retention(connection, Policy(0.001, 0.001), clock=lambda: later).sweep()
