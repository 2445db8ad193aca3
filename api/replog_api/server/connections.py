"""The open connections of one process: how long each may be silent, and which are closed where there are too many."""

from __future__ import annotations

from dataclasses import dataclass, field
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
from typing import TYPE_CHECKING

from uvicorn.server import ServerState

if TYPE_CHECKING:
    from replog_api.server.protocol import BoundedProtocol

#: Files that are kept for other things than clients: connections to the store, logs, metrics.
OTHER_FILES = 128


def room_for_connections() -> int:
    """How many connections the system lets this process have, with room left for its other files."""
    files, _ = getrlimit(RLIMIT_NOFILE)
    return 1_000_000 if files == RLIM_INFINITY else max(files - OTHER_FILES, files // 2)


@dataclass(frozen=True)
class ConnectionLimits:
    """What one connection may take of the service; times in seconds."""

    #: From the opening of a connection, or the first byte of a later request, to the end of the request's head.
    head_s: float = 10.0
    #: From the end of the head to the end of the body, which nobody needs.
    body_s: float = 10.0
    #: A client that has taken nothing of what waits for it for so long is cut off; where the service stops, sooner.
    stalled_s: float = 15.0
    stalled_at_stop_s: float = 2.0
    #: Where the service stops: how long a connection that was just opened may take to send its request, and how long
    #: an answer under way may take.
    head_at_stop_s: float = 1.0
    finished_at_stop_s: float = 2.5
    #: Connections that are open at once.
    most_open: int = field(default_factory=room_for_connections)


class Drain:
    """Whether the process was asked to stop: it still takes requests for a while, and says that it will not."""

    begun = False


class Connections(ServerState):
    """What uvicorn's connections of one server share, and the order in which they were silent."""

    def __init__(self, limits: ConnectionLimits, drain: Drain) -> None:
        super().__init__()
        self.limits = limits
        self.drain = drain
        #: Those that have nothing in hand, or take nothing of it; the longest silent first.
        self._silent: dict[BoundedProtocol, None] = {}

    def is_silent(self, connection: BoundedProtocol) -> None:
        """Nothing is done for ``connection`` from now on."""
        self._silent[connection] = None

    def is_served(self, connection: BoundedProtocol) -> None:
        """It has asked something, or is gone."""
        self._silent.pop(connection, None)

    def make_room(self) -> None:
        """Close the longest silent one where there are too many: one for each that comes."""
        if len(self.connections) > self.limits.most_open and self._silent:
            longest_silent = next(iter(self._silent))
            del self._silent[longest_silent]
            longest_silent.transport.abort()
