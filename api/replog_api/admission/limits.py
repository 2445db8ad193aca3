"""How much clients may ask: requests a second, how much at once, and the size of a request. Pure."""

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
#: A client that was quiet may ask as much at once as it may in so many seconds.
BURST_S = 5.0
#: Clients remembered; what is forgotten begins anew.
KEPT_CLIENTS = 10_000
#: How many requests a page counts as that was looked for with filters or a prefix, and a list of several parts: what
#: they cost the store. An answer that is known already counts as one.
SEARCH_COST, LONG_LIST_COST = 5, 10


@dataclass(frozen=True)
class Limits:
    """What one process does at once; times in seconds."""

    #: Streams and long polls. Each costs some 30 KiB, and an open file.
    most_watchers: int = 2000
    #: Lists under way, how many others wait for that, and for how long.
    most_lists: int = 80
    most_lists_waiting: int = 200
    list_wait_s: float = 5.0
    #: The same of searches: short waits, because who asks a page is told within 2 s where it cannot be read.
    most_searches: int = 16
    most_searches_waiting: int = 200
    search_wait_s: float = 0.7
    #: A read that takes so long is ended where its client leaves; looking for that costs more than most reads.
    notice_after_s: float = 0.1
    #: Answers kept for clients that ask for the same next, each of some 64 KiB at most.
    kept_answers: int = 256


class RateLimit:
    """Lets each client ask ``per_second`` times a second on the average; 0 is without end.

    For each client one number is kept: until when what it has asked for is used up.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._interval_s = 1 / per_second if per_second else 0.0
        # However seldom a client may ask, it may ask once.
        self._lead_s = max(0.0, BURST_S - self._interval_s)
        self._clock = clock
        self._used_until: dict[str, float] = {}

    def seconds_to_wait(self, client: str) -> float:
        """0 where ``client`` may ask now, and has; else how long it has to wait."""
        if not self._interval_s:
            return 0.0
        now = self._clock()
        used_until = max(now, self._used_until.pop(client, now))
        wait_s = used_until - now - self._lead_s
        if wait_s <= 0:
            used_until += self._interval_s
        # Put behind all others: the first is who asked longest ago.
        self._used_until[client] = used_until
        if len(self._used_until) > KEPT_CLIENTS:
            del self._used_until[next(iter(self._used_until))]
        return max(0.0, wait_s)

    def charge(self, client: str, requests: float) -> None:
        """Let what ``client`` was just let in with count as so many requests more."""
        if client in self._used_until:
            self._used_until[client] += requests * self._interval_s


def header_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The size of ``headers``."""
    return sum([len(name) + len(value) for name, value in headers])
