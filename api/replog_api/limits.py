"""How much one client may ask: requests a second, and the size of a request. Pure."""

from __future__ import annotations

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


def header_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The size of ``headers``."""
    return sum([len(name) + len(value) for name, value in headers])
