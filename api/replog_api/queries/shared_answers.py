"""Answers that several clients want, at once or again: each is found once a version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from replog.cancellation import cancel_and_wait
from replog.lru_cache import LruCache
from replog_api.queries.responses import Answer
from replog_api.queries.single_flight import ENDS_WITHIN_S

#: Most bytes of an answer that is kept.
KEPT_BYTES = 65_536

#: Everything that answers depend on beside their version: the endpoint, its parameters, the time zone.
QueryKey = bytes
#: Finds an answer; raises as reads of the store do.
Find = Callable[[], Coroutine[Any, Any, Answer]]


class SharedAnswers:
    """The answers that were found last, at most ``kept`` of them, and those that are being found.

    ``now_ms`` gives the time in ms since 1970 that answers expire by.
    """

    def __init__(self, kept: int, now_ms: Callable[[], int]) -> None:
        self._kept: LruCache[QueryKey, Answer] = LruCache(kept)
        self._now_ms = now_ms
        self._searches: dict[tuple[QueryKey, bytes], _Search] = {}
        self._tasks: set[asyncio.Task[Answer]] = set()

    def __contains__(self, query_key: QueryKey) -> bool:
        """Whether there is an answer to this query, of whatever version."""
        return query_key in self._kept

    async def find(self, query_key: QueryKey, version: bytes | None, find: Find) -> Answer:
        """An answer of this version or a newer one; found anew where the version is None.

        ``find`` is cancelled when all who want the answer are gone.
        """
        if version is None:
            return self._keep(query_key, await find())
        kept = self._kept.get(query_key)
        if kept and kept.version == version and (kept.until_ms is None or kept.until_ms > self._now_ms()):
            return kept
        key = (query_key, version)
        search = self._searches.get(key) or self._begin(key, find)
        search.waiting += 1
        try:
            # The client that began it may go away without the others.
            return self._keep(query_key, await asyncio.shield(search.task))
        finally:
            search.waiting -= 1
            if not search.waiting:
                # The next client begins anew: this search may take a moment to end.
                self._forget(key, search)
                search.task.cancel()

    async def close(self) -> None:
        """Cancel all searches; nobody calls any more."""
        await cancel_and_wait(self._tasks, timeout_s=ENDS_WITHIN_S)

    def _begin(self, key: tuple[QueryKey, bytes], find: Find) -> _Search:
        task = asyncio.create_task(find(), name="query")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        search = self._searches[key] = _Search(task)
        task.add_done_callback(lambda _: self._forget(key, search))
        return search

    def _forget(self, key: tuple[QueryKey, bytes], search: _Search) -> None:
        if self._searches.get(key) is search:
            del self._searches[key]

    def _keep(self, query_key: QueryKey, answer: Answer) -> Answer:
        if answer.size <= KEPT_BYTES:
            self._kept.put(query_key, answer)
        return answer


class _Search:
    """A task that finds one answer, and the number of those who wait for it."""

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.waiting = 0
