"""The edge to Redis: sends calls in one go, loads scripts where they are missing, translates the driver's errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from replog.errors import StoreIncompatible, StoreUnavailable
from replog.settings import mask_url
from replog.store import scripts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from replog.settings import StoreSettings
    from replog.store.scripts import Script

#: Oldest Redis whose commands and script libraries the store was tested with.
LEAST_VERSION = (6, 2)


@dataclass(frozen=True, slots=True)
class Call:
    """One command of a batch. ``keys`` all lie in one slot."""

    command: str | Script
    keys: Sequence[bytes]
    arguments: Sequence[Any] = ()

    def words(self) -> tuple[Any, ...]:
        """The command as it goes over the wire."""
        if isinstance(self.command, str):
            return (self.command, *self.keys, *self.arguments)
        return ("EVALSHA", self.command.sha, len(self.keys), *self.keys, *self.arguments)


class Connection:
    """A pool of connections to one Redis; opened and closed by ``async with``.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer within ``timeout_s``, or
    answers that it cannot serve now.
    """

    def __init__(self, settings: StoreSettings, *, timeout_s: float, pool_size: int = 64) -> None:
        self.prefix = settings.redis_prefix
        self._shown = mask_url(settings.redis_url)
        options: dict[str, Any] = {"protocol": 2}  # the driver's own annotations lack it
        # A burst waits for a connection instead of failing.
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            settings.redis_url,
            max_connections=pool_size,
            timeout=timeout_s,
            **options,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # The callers know what may be tried again, and when.
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(pool)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._redis.aclose()

    async def check(self) -> None:
        """Return where Redis answers and is new enough.

        Raises:
            StoreIncompatible: it is older than :data:`LEAST_VERSION`.
        """
        with _translated(self._shown):
            info = await self._redis.info("server")
        version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
        if version < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            raise StoreIncompatible(f"{self._shown} is Redis {info['redis_version']}; {least} or later is needed")

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Send ``calls`` in one go, in order, and return their replies.

        Other clients' commands may come between two calls. Where this raises, any part of them may have been applied.
        """
        if not calls:
            return []
        replies = await self._send(calls)
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]
        if missing:
            await self._load_scripts()
            for i, reply in zip(missing, await self._send([calls[i] for i in missing]), strict=True):
                replies[i] = reply
        with _translated(self._shown):
            for reply in replies:
                if isinstance(reply, exceptions.RedisError):
                    raise reply
        return replies

    async def _send(self, calls: Sequence[Call]) -> list[Any]:
        with _translated(self._shown):
            if len(calls) == 1:
                return [await self._send_one(calls[0])]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for call in calls:
                    pipeline.execute_command(*call.words())
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
                return replies

    async def _send_one(self, call: Call) -> Any:
        try:
            return await self._redis.execute_command(*call.words())
        except exceptions.NoScriptError as error:
            return error

    async def _load_scripts(self) -> None:
        with _translated(self._shown):
            for script in scripts.ALL:
                await self._redis.script_load(script.text)


#: Which driver error is which kind of trouble; the first that fits counts.
_KINDS: tuple[tuple[type[exceptions.RedisError], str], ...] = (
    (exceptions.TimeoutError, "timeout"),
    (exceptions.BusyLoadingError, "loading"),
    (exceptions.ReadOnlyError, "readonly"),
    (exceptions.OutOfMemoryError, "oom"),
    (exceptions.ConnectionError, "connection"),
    (exceptions.RedisError, "response"),
)


class _translated:  # noqa: N801 - a context manager, read as a word
    def __init__(self, shown: str) -> None:
        self._shown = shown

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
            raise StoreUnavailable(word, f"{self._shown}: {error}") from error
