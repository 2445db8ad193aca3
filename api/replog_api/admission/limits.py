"""Limits of requests: how many a second, how many at once, and the size of one. Pure.

Those of connections are in :mod:`replog_api.server.connections`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Longest path with its query, in bytes.
MAX_URL_BYTES = 32_768
#: Most that the names and values of all headers may have together, in bytes.
MAX_HEADER_BYTES = 32_768
#: Longest ``Link`` header, in bytes: proxies take heads of 4 KiB in all.
MAX_LINK_BYTES = 3072
#: Burst of a client that was quiet: its requests of so many seconds, at once.
BURST_S = 5.0
#: Most clients whose rate is remembered. A forgotten one begins anew.
KEPT_CLIENTS = 10_000
#: Cost, in requests, of a page with filters or a prefix, and of a list in several parts: what they cost the store. A
#: cached answer costs one.
SEARCH_COST, LONG_LIST_COST = 5, 10


@dataclass(frozen=True)
class Limits:
    """Most work that one process does at once. Times are in seconds."""

    #: Streams and long polls. Each costs some 30 KiB, and an open file.
    most_waiting_clients: int = 2000
    #: Lists under way; how many more requests wait for that, and for how long.
    most_lists: int = 80
    most_lists_waiting: int = 200
    list_wait_s: float = 5.0
    #: The same for searches. Their wait is short: a page is answered or refused within 2 s.
    most_searches: int = 16
    most_searches_waiting: int = 200
    search_wait_s: float = 0.7
    #: Age at which a read begins to listen for its client leaving. Listening costs more than most reads.
    notice_after_s: float = 0.1
    #: Answers kept for clients that ask for the same next, each of some 64 KiB at most.
    kept_answers: int = 256


class RateLimit:
    """Rate limit of each client: ``per_second`` requests on the average; 0 is no limit.

    Keeps one number for each client: the time until which its requests use up its rate.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._interval_s = 1 / per_second if per_second else 0.0
        # However low the rate, one request is allowed.
        self._lead_s = max(0.0, BURST_S - self._interval_s)
        self._clock = clock
        self._used_until: dict[str, float] = {}

    def seconds_to_wait(self, client: str) -> float:
        """Count a request of ``client`` and return 0; where it comes too early, the seconds until the next may come."""
        if not self._interval_s:
            return 0.0
        now = self._clock()
        used_until = max(now, self._used_until.pop(client, now))
        wait_s = used_until - now - self._lead_s
        if wait_s <= 0:
            used_until += self._interval_s
        # Moved to the end: the first is the client whose last request is the oldest.
        self._used_until[client] = used_until
        if len(self._used_until) > KEPT_CLIENTS:
            del self._used_until[next(iter(self._used_until))]
        return max(0.0, wait_s)

    def charge(self, client: str, requests: float) -> None:
        """Count the last request of ``client`` as so many more."""
        if client in self._used_until:
            self._used_until[client] += requests * self._interval_s


def header_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The size of ``headers``."""
    return sum([len(name) + len(value) for name, value in headers])
