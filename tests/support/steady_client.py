"""A client that asks the same things of query services all the while, as dashboards do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from tests.support.background import Background
from tests.support.system import RECORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

DEADLINE_S = 60.0


class SteadyClient(Background):
    """Asks one service after the other over kept connections; what fails at one, it asks once at the next."""

    def __init__(self, urls: Sequence[str], paths: Sequence[str], *, pause_s: float = 0.0) -> None:
        super().__init__()
        self._clients = [_client(url) for url in urls]
        #: Those that are not asked any more: one may be in use, so that it is closed at the end.
        self._former: list[httpx.Client] = []
        self._paths = paths
        #: Seconds between two rounds.
        self._pause_s = pause_s
        self._turn = 0
        self.answers: list[tuple[str, Any]] = []
        self.failures: list[str] = []

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for client in [*self._clients, *self._former]:
            client.close()

    def move_to(self, url: str) -> None:
        """Ask the service at ``url`` alone from now on, as clients do behind an address that was switched."""
        self._former += self._clients
        self._clients = [_client(url)]

    def run(self) -> None:
        """Ask for each path in turn."""
        while not self.over.wait(self._pause_s):
            for path in self._paths:
                try:
                    self.answers.append((path, self._asked(path)))
                except httpx.HTTPError as error:
                    self.failures.append(f"{path}: {error!r}")

    def _asked(self, path: str) -> Any:
        try:
            return self._ask(path)
        except httpx.TransportError:
            return self._ask(path)

    def _ask(self, path: str) -> Any:
        self._turn += 1
        clients = self._clients
        answer = clients[self._turn % len(clients)].get(f"{RECORDS}/{path}")
        answer.raise_for_status()
        return answer.json()["data"]


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=DEADLINE_S)
