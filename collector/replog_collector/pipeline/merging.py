"""The second step of a batch: the store. Where that refuses it, the record that is in the way is found by halving."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeAlias

from replog.errors import StoreRefused
from replog.events import parse
from replog.store.write.batch import Batch
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.kafka.dead_letters import DeadLetter

if TYPE_CHECKING:
    from replog_collector.kafka.source import Message
    from replog_collector.pipeline.decoding import Decoded
    from replog_collector.pipeline.retrying import Retrying

    #: Messages by the id of the record that they tell about, in order.
    _Group: TypeAlias = tuple[str, list[Message]]

#: The reason of a dead letter that is a valid event which the store does not take.
REFUSED = "refused"


class Store(Protocol):
    """Where batches go."""

    async def merge(self, batch: Batch) -> None:
        """Merge ``batch`` and complete its effects.

        Raises StoreUnavailable: merge it again. Raises StoreRefused: of some records' calls, some may be merged.
        """

    def renew(self) -> None:
        """Rely on nothing that was done before: what was merged comes again, for some of it may be lost."""


class Merging:
    """Merges what was decoded, until the store has all of it that it will ever take."""

    def __init__(self, store: Store, retrying: Retrying) -> None:
        self._store = store
        self._retrying = retrying

    async def merge(self, decoded: Decoded) -> None:
        """Merge ``decoded``; the events of records that the store refuses are added to its letters.

        Raises:
            StopRequested: a stop came while the store was unavailable.
        """
        if not decoded.batches:
            return
        (batch,) = decoded.batches
        if (refusal := await self._refusal(batch)) is None:
            return
        logger().warning("batch_refused", error=str(refusal))
        decoded.batches = []
        await self._merge_halves(decoded, _by_record(decoded), refusal)

    async def _merge_halves(self, decoded: Decoded, groups: list[_Group], refusal: StoreRefused) -> None:
        if len(groups) == 1:
            decoded.letters.extend(DeadLetter(message, REFUSED, str(refusal)) for message in groups[0][1])
            return
        middle = len(groups) // 2
        for half in (groups[:middle], groups[middle:]):
            batch = Batch()
            for _, messages in half:
                for message in messages:
                    batch.add(parse(message.value or b""))
            if again := await self._refusal(batch):
                await self._merge_halves(decoded, half, again)
            else:
                decoded.batches.append(batch)

    async def _refusal(self, batch: Batch) -> StoreRefused | None:
        try:
            await self._retrying(lambda: self._store.merge(batch))
        except StoreRefused as error:
            metrics.STORE_ERRORS.labels(REFUSED).inc()
            return error
        return None


def _by_record(decoded: Decoded) -> list[_Group]:
    invalid = {(letter.message.partition, letter.message.offset) for letter in decoded.letters}
    groups: defaultdict[str, list[Message]] = defaultdict(list)
    for message in decoded.messages:
        if message.value is not None and (message.partition, message.offset) not in invalid:
            groups[parse(message.value).record_id].append(message)
    return list(groups.items())
