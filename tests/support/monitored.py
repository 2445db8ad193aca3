"""What a monitored system does in tests: requests that go on, and the board whose panels have to have data of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.api.tokens import ALL, TOKENS, bearer
from tests.support.background import Background
from tests.support.services.plain_http import NO_TLS
from tests.support.services.process import free_port
from tests.support.system import API, COLLECTOR, RECORDS

if TYPE_CHECKING:
    from tests.support.prometheus import Prometheus
    from tests.support.system import Process, System

BOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "deploy/grafana/replog.json").read_text(encoding="utf-8")
)
PATHS = ("list/busy", "page/busy?pageNumber=1&pageSize=5", "list/nothing")
PAUSE_S = 0.1
DEADLINE_S = 30.0


def collector_of(system: System, **variables: str) -> Process:
    """A collector whose address stays the same when it is started again, not started yet."""
    return system.process(COLLECTOR, REPLOG_COLLECTOR_PORT=str(free_port()), **variables)


def api_of(system: System, **variables: str) -> Process:
    """A query service with tokens whose address stays the same when it is started again, not started yet."""
    settings = {"REPLOG_API_PORT": str(free_port()), "REPLOG_API_TOKENS": TOKENS, "REPLOG_API_REQUESTS_PER_S": "0"}
    return system.process(API, **settings, **variables)


class Asking(Background):
    """A client of ``url`` that asks again and again, whatever it is answered."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def run(self) -> None:
        """Ask, and ask again with the tag of the answer."""
        with httpx.Client(base_url=self._url, headers=bearer(ALL), timeout=DEADLINE_S, verify=NO_TLS) as client:
            while not self.over.wait(PAUSE_S):
                for path in PATHS:
                    self._ask(client, path)

    def _ask(self, client: httpx.Client, path: str) -> None:
        try:
            answer = client.get(f"{RECORDS}/{path}")
            tag = answer.headers.get("ETag")
            if tag:
                client.get(f"{RECORDS}/{path}", headers={"If-None-Match": tag})
        except httpx.TransportError:
            # The service is stopped, or not there yet.
            return


def empty_panels(prometheus: Prometheus, start_s: float, end_s: float) -> list[str]:
    """The titles of panels of which a query has no number between two times, in seconds since 1970."""
    queries = [
        # As Grafana fills it in.
        (panel["title"], target["expr"].replace("$__rate_interval", f"{4 * prometheus.interval_s}s"))
        for panel in BOARD["panels"]
        for target in panel.get("targets", ())
    ]
    return [f"{title}: {query}" for title, query in queries if not _has_data(prometheus, query, start_s, end_s)]


def _has_data(prometheus: Prometheus, query: str, start_s: float, end_s: float) -> bool:
    series = prometheus.query_range(query, start_s, end_s)
    return any(not math.isnan(float(value)) for one in series for _, value in one["values"])
