"""The edge to Redis: sends calls in one go, wherever their keys are, and translates the driver's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from redis import exceptions

from replog import redis_url
from replog.errors import StoreIncompatible, StoreRefused, StoreUnavailable
from replog.settings import mask_url
from replog.store.call import Call
from replog.store.cluster import Cluster
from replog.store.node import open_node
from replog.store.sentinel import SentinelNode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from replog.settings import StoreSettings

__all__ = ["LEAST_VERSION", "Call", "Connection"]

#: Oldest Redis whose commands and script libraries the store was tested with.
LEAST_VERSION = (6, 2)


class Topology(Protocol):
    """The servers behind one URL. Methods raise the driver's errors; see :class:`replog.store.node.Node`."""

    async def send(self, calls: Sequence[Call]) -> list[Any]:
        """The replies to ``calls``, in order; an error that a server answered is a reply."""

    async def infos(self) -> list[dict[str, Any]]:
        """What every master says of itself."""

    async def close(self) -> None:
        """Close all connections."""


class Connection:
    """A pool of connections to one Redis, or to each master of a cluster; opened and closed by ``async with``.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer within ``timeout_s``, or
    answers that it cannot serve now; and :class:`~replog.errors.StoreRefused` where what a key holds is in the way.
    """

    def __init__(self, settings: StoreSettings, *, timeout_s: float, pool_size: int = 64) -> None:
        self.prefix = settings.redis_prefix
        self._shown = mask_url(settings.redis_url)
        url = redis_url.parse(settings.redis_url)
        self._secrets = url.secrets
        self._topology = _topology_of(url, timeout_s, pool_size)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._topology.close()

    async def check(self) -> None:
        """Return where Redis answers and is new enough; of a cluster, every master.

        Raises:
            StoreIncompatible: it is older than :data:`LEAST_VERSION`.
        """
        with _translated(self._shown, self._secrets):
            infos = await self._topology.infos()
        for info in infos:
            self._check_version(str(info["redis_version"]))

    def _check_version(self, text: str) -> None:
        version = tuple(int(part) for part in text.split(".")[:2])
        if version < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            raise StoreIncompatible(f"{self._shown} is Redis {text}; {least} or later is needed")

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Send ``calls`` in one go and return their replies; those whose keys lie in one slot in order.

        Other clients' commands may come between two calls. Where this raises, any part of them may have been applied;
        where a slot of a cluster has moved meanwhile, some may have been applied twice.
        """
        if not calls:
            return []
        with _translated(self._shown, self._secrets):
            replies = await self._topology.send(calls)
            for reply in replies:
                if isinstance(reply, exceptions.RedisError):
                    raise reply
        return replies


def _topology_of(url: redis_url.RedisUrl, timeout_s: float, pool_size: int) -> Topology:
    match url.topology:
        case "sentinel":
            return SentinelNode(url, timeout_s=timeout_s, pool_size=pool_size)
        case "cluster":
            return Cluster(
                url.addresses, lambda address: open_node(url, address, timeout_s=timeout_s, pool_size=pool_size)
            )
    return open_node(url, None, timeout_s=timeout_s, pool_size=pool_size)


#: Which driver error is which kind of trouble; the first that fits counts.
_KINDS: tuple[tuple[type[exceptions.RedisError], str], ...] = (
    (exceptions.TimeoutError, "timeout"),
    (exceptions.BusyLoadingError, "loading"),
    (exceptions.ReadOnlyError, "readonly"),
    (exceptions.OutOfMemoryError, "oom"),
    # A slot on the move, or without a master.
    (exceptions.AskError, "cluster"),
    (exceptions.TryAgainError, "cluster"),
    (exceptions.ClusterDownError, "cluster"),
    (exceptions.ConnectionError, "connection"),
    (exceptions.RedisError, "response"),
)
#: What an answer says that comes of one key's content: a wrong type, or a script that failed on it.
_OF_CONTENT = ("WRONGTYPE", "user_script")
#: What a script's failure says where it is the server's state after all; Redis 6.2 tells it in words alone.
_OF_STATE = (
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOPERM",
    "ACL failure",
    "BUSY",
)


class _translated:  # noqa: N801 - a context manager, read as a word
    def __init__(self, shown: str, secrets: Sequence[str]) -> None:
        self._shown = shown
        self._secrets = secrets

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, exceptions.RedisError):
            word = next(word for known, word in _KINDS if isinstance(error, known))
            # Redis 6.2 tells a script's lack of memory in words alone.
            if "maxmemory" in str(error):
                word = "oom"
            # A script that met a key which is not, or no longer, in a slot on the move.
            elif "non local key" in str(error):
                word = "cluster"
            elif word == "response" and _is_of_content(str(error)):
                raise StoreRefused(self._message(error)) from error
            raise StoreUnavailable(word, self._message(error)) from error

    def _message(self, error: Exception) -> str:
        # A server that knows no AUTH answers with what it was sent.
        text = str(error)
        for secret in self._secrets:
            text = text.replace(secret, redis_url.MASK)
        return f"{self._shown}: {text}"


def _is_of_content(text: str) -> bool:
    return any(word in text for word in _OF_CONTENT) and not any(word in text for word in _OF_STATE)
