"""The open connections of one process: their limits, and the order in which idle ones are closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
from typing import TYPE_CHECKING

from uvicorn.server import ServerState

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Open files reserved for other uses than clients: connections to the store, logs, metrics.
OTHER_FILES = 128


def room_for_connections() -> int:
    """The number of client connections that the limit of open files allows, with room left for other files."""
    files, _ = getrlimit(RLIMIT_NOFILE)
    return 1_000_000 if files == RLIM_INFINITY else max(files - OTHER_FILES, files // 2)


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of client connections; times in seconds."""

    #: From the opening of a connection, or the first byte of a later request, to the end of the request's head.
    head_s: float = 10.0
    #: From the end of the head to the end of the body, which is not used.
    body_s: float = 10.0
    #: Time without progress after which a client that does not read its response is cut off; shorter at a stop.
    stalled_s: float = 15.0
    stalled_at_stop_s: float = 2.0
    #: At a stop: time for a new connection to send its request, and for a response under way.
    head_at_stop_s: float = 1.0
    finished_at_stop_s: float = 2.5
    #: Most connections that are open at once.
    most_open: int = field(default_factory=room_for_connections)


class Drain:
    """The state of the drain: the process was asked to stop, and still takes requests while ``/readyz`` says 503."""

    begun = False


class Connections(ServerState):
    """State shared by uvicorn's connections of one server, and the idle ones in order."""

    def __init__(self, limits: ConnectionLimits, drain: Drain) -> None:
        super().__init__()
        self.limits = limits
        self.drain = drain
        #: Connections without a request, or that do not read their response; the longest idle first.
        self._silent: dict[HttpToolsProtocol, None] = {}

    def is_silent(self, connection: HttpToolsProtocol) -> None:
        """Note that ``connection`` is idle from now on."""
        self._silent[connection] = None

    def is_served(self, connection: HttpToolsProtocol) -> None:
        """Note that ``connection`` has sent a request, or is closed."""
        self._silent.pop(connection, None)

    def make_room(self) -> None:
        """Close the longest idle connection where there are too many; called for each new one."""
        if len(self.connections) > self.limits.most_open and self._silent:
            longest_silent = next(iter(self._silent))
            del self._silent[longest_silent]
            longest_silent.transport.abort()
