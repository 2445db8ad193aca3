"""The edge to Redis: sends calls in one go, wherever their keys are, and translates the driver's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from redis import exceptions

from replog import redis_url
from replog.errors import StoreIncompatible, StoreRefused, StoreUnavailable
from replog.settings import mask_url
from replog.store.client.cluster import Cluster
from replog.store.client.credentials import CurrentUrl
from replog.store.client.epoch import Epoch
from replog.store.client.layout_check import ForeignLayoutError
from replog.store.client.node import open_node
from replog.store.client.rights import COLLECTOR, Needs
from replog.store.client.sentinel import SentinelNode
from replog.store.client.server_state import state_of
from replog.store.client.versions import LEAST_VERSION, is_too_old
from replog.store.format.layout import READABLE
from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import TracebackType

    from replog.settings import StoreSettings
    from replog.store.client.command import Command
    from replog.store.client.rights import Right
    from replog.store.client.server_state import ServerState


class Topology(Protocol):
    """The servers behind one URL. Methods raise the driver's errors; see :class:`replog.store.client.node.Node`."""

    async def send(self, calls: Sequence[Command]) -> list[Any]:
        """The replies to ``calls``, in order; an error that a server answered is a reply."""

    async def infos(self, section: str) -> list[dict[str, Any]]:
        """A section of the server information of every master."""

    async def ask(self, *words: str) -> list[Any]:
        """The replies of every master to a command about the server itself; an error that one answers is a reply."""

    async def missing_rights(self) -> list[str]:
        """Rights that the user lacks, as rules for the access list."""

    async def close(self) -> None:
        """Close all connections."""


class Connection:
    """A pool of connections to one Redis, or to each master of a cluster; opened and closed by ``async with``.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer within ``timeout_s``,
    answers that it cannot serve now, or holds a store of another layout; and :class:`~replog.errors.StoreRefused` where
    what a key holds is in the way. ``rights`` are those that the process needs; where its user lacks one, the message
    names it. ``layouts`` are those of the stores that it can work on.
    """

    def __init__(
        self,
        settings: StoreSettings,
        *,
        timeout_s: float,
        pool_size: int = 64,
        rights: tuple[Right, ...] = COLLECTOR,
        layouts: Collection[int] = READABLE,
    ) -> None:
        self.prefix = settings.redis_prefix
        url = CurrentUrl(settings)
        self._server = _Server(mask_url(settings.redis_url), url)
        self._epoch = Epoch()
        needs = Needs(settings.redis_prefix, rights, layouts)
        self._topology = _topology_of(url, needs, self._epoch, timeout_s, pool_size)
        self._missing: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._topology.close()

    @property
    def epoch(self) -> int:
        """A number that grows whenever a server was reached that may have less than the one before had.

        It has grown before the first call of such a server is answered. Where it did not grow, nothing went back.
        """
        return self._epoch.number

    async def check(self) -> None:
        """Return where Redis answers, can be used and gives the user all rights; of a cluster, every master.

        What is missing is logged, once until it is something else.

        Raises:
            StoreIncompatible: as :meth:`check_compatible`.
        """
        await self.check_compatible()
        missing = await self.missing_rights()
        if missing and missing != self._missing:
            logger().error("rights_missing", redis=self._server.shown, rights=missing)
        self._missing = missing
        if missing:
            raise StoreUnavailable("noperm", f"{self._server.shown}: the user lacks {' '.join(missing)}")

    async def check_compatible(self) -> None:
        """Return where Redis answers and can be used; of a cluster, every master.

        Raises:
            StoreIncompatible: it is older than :data:`LEAST_VERSION`, or holds a store of another layout.
        """
        with _translated(self._server):
            try:
                infos = await self._topology.infos("server")
            except ForeignLayoutError as error:
                raise StoreIncompatible(self._server.message(error)) from error
        for info in infos:
            self._check_version(str(info["redis_version"]))

    def _check_version(self, text: str) -> None:
        if is_too_old(text):
            least = ".".join(map(str, LEAST_VERSION))
            raise StoreIncompatible(f"{self._server.shown} is Redis {text}; {least} or later is needed")

    async def missing_rights(self) -> list[str]:
        """The rights that the user lacks, at any master, as rules for its access list."""
        with _translated(self._server):
            return await self._topology.missing_rights()

    async def server_states(self) -> list[ServerState]:
        """The state of the server; of a cluster, of every master."""
        with _translated(self._server):
            return [state_of(info) for info in await self._topology.infos("default")]

    async def ask(self, *words: str) -> list[Any]:
        """The reply of each master to a command about the server itself; an error that one answers is a reply."""
        with _translated(self._server):
            return await self._topology.ask(*words)

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """Send ``calls`` in one go and return their replies; those whose keys lie in one slot in order.

        Other clients' commands may come between two calls. Where this raises, any part of them may have been applied;
        where a slot of a cluster has moved meanwhile, some may have been applied twice.
        """
        if not calls:
            return []
        with _translated(self._server):
            replies = await self._topology.send(calls)
        for reply in replies:
            if isinstance(reply, exceptions.RedisError):
                raise _of_reply(self._server, reply) from reply
        return replies


def _topology_of(url: CurrentUrl, needs: Needs, epoch: Epoch, timeout_s: float, pool_size: int) -> Topology:
    match url.first.topology:
        case "sentinel":
            return SentinelNode(url, needs, epoch, timeout_s=timeout_s, pool_size=pool_size)
        case "cluster":
            return Cluster(
                url.first.addresses,
                lambda address: open_node(
                    url, address, needs.in_cluster, epoch, timeout_s=timeout_s, pool_size=pool_size
                ),
                epoch,
            )
    return open_node(url, None, needs, epoch, timeout_s=timeout_s, pool_size=pool_size)


#: Which driver error is which kind of trouble; the first that fits counts.
_KINDS: tuple[tuple[type[exceptions.RedisError], str], ...] = (
    (ForeignLayoutError, "incompatible"),
    (exceptions.TimeoutError, "timeout"),
    (exceptions.BusyLoadingError, "loading"),
    (exceptions.NoPermissionError, "noperm"),
    (exceptions.ReadOnlyError, "readonly"),
    (exceptions.OutOfMemoryError, "oom"),
    # A slot on the move, or without a master.
    (exceptions.AskError, "cluster"),
    (exceptions.TryAgainError, "cluster"),
    (exceptions.ClusterDownError, "cluster"),
    (exceptions.ConnectionError, "connection"),
    (exceptions.RedisError, "response"),
)
#: Codes of errors that come of what the call's keys hold; ERR where a
#: :class:`~replog.store.client.node.Node` replies it.
_OF_CONTENT = ("WRONGTYPE", "ERR")


class _Server(NamedTuple):
    """A server in messages: its URL without secrets, and the one with those that no message may show."""

    shown: str
    url: CurrentUrl

    def message(self, error: Exception) -> str:
        """The server and the text of ``error``, without secrets: a server without AUTH echoes what it was sent."""
        text = str(error)
        for secret in self.url.secrets:
            text = text.replace(secret, redis_url.MASK)
        return f"{self.shown}: {text}"


class _translated:  # noqa: N801 - a context manager, read as a word
    def __init__(self, server: _Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, exceptions.RedisError):
            raise _unavailable(self._server, error) from error


def _unavailable(server: _Server, error: exceptions.RedisError) -> StoreUnavailable:
    kind = next(word for known, word in _KINDS if isinstance(error, known))
    return StoreUnavailable(kind, server.message(error))


def _of_reply(server: _Server, error: exceptions.RedisError) -> StoreUnavailable | StoreRefused:
    if isinstance(error, exceptions.ResponseError) and _code_of(error) in _OF_CONTENT:
        return StoreRefused(server.message(error))
    return _unavailable(server, error)


def _code_of(error: exceptions.ResponseError) -> str:
    """The code of a reply: its first word, which the driver takes off where it has a class for it."""
    return error.status_code or str(error).partition(" ")[0]
