"""The second step of a batch: the merge into the store. Where that refuses it, halving finds the refused record."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeAlias

from replog.errors import REFUSED, StoreRefused
from replog.events import parse
from replog.store.write.batch import Batch
from replog.store.write.merge_result import MergeResult
from replog.telemetry import logger
from replog_collector import metrics
from replog_collector.kafka.dead_letters import DeadLetter

if TYPE_CHECKING:
    from replog_collector.kafka.source import Message
    from replog_collector.pipeline.decoding import Decoded
    from replog_collector.pipeline.retrying import Retrying

    #: A record's id, and its messages in order.
    _Group: TypeAlias = tuple[str, list[Message]]


class Store(Protocol):
    """The port to the store: :class:`replog.store.write.writer.Writer`."""

    async def merge(self, batch: Batch) -> MergeResult:
        """Merge ``batch``.

        Raises StoreUnavailable: merge it again. Raises StoreRefused: of some records' calls, some may be merged.
        """

    def renew(self) -> None:
        """Assume nothing about earlier merges: they are repeated, because the store may have lost some."""


class Merging:
    """Merges batches, with retries, until the store has all that it accepts."""

    def __init__(self, store: Store, retrying: Retrying) -> None:
        self._store = store
        self._retrying = retrying

    async def merge(self, decoded: Decoded) -> list[MergeResult]:
        """Merge ``decoded``; returns one result, or several where the store refused records and it was halved.

        The events of records that the store refuses are added to the letters of ``decoded``.

        Raises:
            StopRequested: a stop came while the store was unavailable.
        """
        if not decoded.messages:
            return []
        outcome = await self._try(decoded.batch)
        if isinstance(outcome, MergeResult):
            return [outcome]
        logger().warning("batch_refused", error=str(outcome))
        return await self._merge_halves(decoded, _by_record(decoded), outcome)

    async def _merge_halves(self, decoded: Decoded, groups: list[_Group], refusal: StoreRefused) -> list[MergeResult]:
        if len(groups) == 1:
            decoded.letters.extend(DeadLetter(message, REFUSED, str(refusal)) for message in groups[0][1])
            return []
        results: list[MergeResult] = []
        middle = len(groups) // 2
        for half in (groups[:middle], groups[middle:]):
            outcome = await self._try(_folded(half))
            if isinstance(outcome, MergeResult):
                results.append(outcome)
            else:
                results += await self._merge_halves(decoded, half, outcome)
        return results

    async def _try(self, batch: Batch) -> MergeResult | StoreRefused:
        try:
            return await self._retrying(lambda: self._store.merge(batch))
        except StoreRefused as error:
            metrics.STORE_ERRORS.labels(REFUSED).inc()
            return error


def _folded(groups: list[_Group]) -> Batch:
    batch = Batch()
    for _, messages in groups:
        for message in messages:
            value = message.value or b""
            batch.add(parse(value), value)
    return batch


def _by_record(decoded: Decoded) -> list[_Group]:
    invalid = {(letter.message.partition, letter.message.offset) for letter in decoded.letters}
    groups: defaultdict[str, list[Message]] = defaultdict(list)
    for message in decoded.messages:
        if message.value is not None and (message.partition, message.offset) not in invalid:
            groups[parse(message.value).record_id].append(message)
    return list(groups.items())
