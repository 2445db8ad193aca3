"""A store as an end of a copy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from replog.errors import FatalError
from replog.store.transfer.receiving import CompleteBucket, Receiver, checkpoints_of
from replog.store.transfer.register_scan import RegisterScan
from replog.store.write.layout_claim import claim_layout
from replog_repair.copying.chunks import Chunk, Erasures, Records, Removed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.transfer.register_scan import Erasure, RecordPart

#: Records and details that are carried together: few enough that they take little memory, and enough that the calls
#: that bring up the lists of tasks are sent together, too.
ROWS_A_CHUNK = 1000


class CopyLostError(FatalError):
    """The destination may have lost some of the copy; the same copy has to be run again."""


class StoreOrigin:
    """Reads a store; ``unreadable`` is called with a key and the reason, where somebody wrote something else to it."""

    def __init__(self, connection: CommandRunner, *, identity: str, unreadable: Callable[[bytes, str], None]) -> None:
        self.identity = identity
        self._connection = connection
        self._scan = RegisterScan(connection, unreadable=unreadable)

    async def count(self) -> int:
        """The number of records and details, as it is now."""
        return await self._scan.count()

    async def checkpoints(self, bucket: int) -> Mapping[str, int]:
        """The checkpoints of a bucket."""
        return await checkpoints_of(self._connection, bucket)

    async def chunks(self, bucket: int) -> AsyncIterator[Chunk]:
        """All that a bucket has.

        What was erased while its records were read comes last: of these, only the topic knows what was later.
        """
        erased = {of.record_id: of for of in await self._scan.erasures(bucket)}
        for some in _steps([*erased.values()]):
            yield Erasures(some)
        async for records in self._records(bucket, erased):
            yield records
        async for removed in self._scan.removed(bucket):
            yield Removed(removed)
        again = await self._scan.erasures(bucket)
        meanwhile = [of._replace(restoring=True) for of in again if not _is_known(of, erased)]
        for some in _steps(meanwhile):
            yield Erasures(some)

    async def _records(self, bucket: int, erased: Mapping[str, Erasure]) -> AsyncIterator[Records]:
        waiting: list[RecordPart] = []
        rows = 0
        async for parts in self._scan.parts(bucket):
            # Generations only grow: what was read since is later than the one that was known before.
            waiting += [
                part._replace(generation=of.generation) if (of := erased.get(part.record_id)) else part
                for part in parts
            ]
            rows += Records(parts).rows
            if rows >= ROWS_A_CHUNK:
                yield Records(waiting)
                waiting, rows = [], 0
        if waiting:
            yield Records(waiting)


class StoreDestination:
    """Merges into a store.

    ``epoch`` gives a number that grows where a server may have lost something; ``clock`` seconds since 1970.
    """

    def __init__(
        self,
        connection: CommandRunner,
        *,
        origin: str,
        epoch: Callable[[], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._receiver = Receiver(connection, origin, clock=clock)
        self._epoch = epoch
        self._begun = 0
        self._complete: list[CompleteBucket] = []

    async def begin(self) -> None:
        """Mark the store's layout.

        Raises:
            StoreIncompatible: it has another one.
        """
        await claim_layout(self._connection)
        self._begun = self._epoch()

    async def has(self, bucket: int) -> bool:
        """Whether a copy from the same origin that was cut off has completed the bucket."""
        found = await self._receiver.complete(bucket)
        if found:
            self._complete.append(found)
        return found is not None

    async def write(self, bucket: int, chunk: Chunk) -> None:
        """Merge a part of a bucket."""
        if isinstance(chunk, Records):
            await self._receiver.merge(chunk.parts)
        elif isinstance(chunk, Erasures):
            await self._receiver.erase(chunk.erased)
        else:
            await self._receiver.remember_removed(bucket, chunk.records)

    async def complete(self, bucket: int, checkpoints: Mapping[str, int]) -> None:
        """Note that all of a bucket is there."""
        complete = CompleteBucket(bucket, checkpoints)
        await self._receiver.note_complete(complete)
        self._complete.append(complete)

    async def finish(self) -> None:
        """Take over the checkpoints.

        Raises:
            CopyLostError: a server was restarted, or failed over, since the copy began, and may have lost some of it.
        """
        if self._epoch() != self._begun:
            await self._receiver.forget_notes(self._complete)
            raise CopyLostError(
                "the destination was restarted, failed over or moved slots during the copy, and may have lost some of "
                "it; its checkpoints were left as they were: run the same copy again"
            )
        await self._receiver.finish(self._complete)


def _steps(erased: Sequence[Erasure]) -> Iterator[Sequence[Erasure]]:
    return (erased[i : i + ROWS_A_CHUNK] for i in range(0, len(erased), ROWS_A_CHUNK))


def _is_known(erasure: Erasure, erased: Mapping[str, Erasure]) -> bool:
    known = erased.get(erasure.record_id)
    return known is not None and known.generation == erasure.generation
