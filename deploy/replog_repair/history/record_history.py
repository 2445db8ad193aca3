"""The history of one record: read from the topic and folded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog_collector.topics.reader import TopicReader
from replog_repair.history.answers import RecordAnswers, answers
from replog_repair.history.folding import HistoryEntry, RecordFold
from replog_repair.history.searching import SLACK_MS, Search

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.settings import CollectorSettings


@dataclass(frozen=True)
class RecordHistory:
    """The messages of a record in the order of the topic, and the answers after the last of them; None after none.

    ``deleted`` are partitions whose beginning Kafka has deleted, ``unreadable`` is a number of messages that may be of
    any record.
    """

    entries: list[HistoryEntry]
    answers: RecordAnswers | None
    deleted: tuple[int, ...]
    unreadable: int


async def read(
    settings: CollectorSettings,
    record_id: str,
    *,
    start_ms: int | None,
    until_ms: int | None,
    all_partitions: bool,
    progress: Callable[[int, int], None],
) -> RecordHistory:
    """The history of ``record_id``, of what was published at ``until_ms`` or before.

    ``start_ms`` is the record's start, where it is known: messages that are much earlier are not read.

    Raises:
        BrokerUnavailable: the broker does not answer, or refuses.
        TopicMissing: there is no topic of events.
    """
    since_ms = None
    if start_ms is not None and settings.max_ahead_s:
        since_ms = start_ms - int(settings.max_ahead_s * 1000) - SLACK_MS
    async with TopicReader(settings, settings.kafka_topic) as reader:
        found = await Search(reader, record_id, progress=progress).run(since_ms=since_ms, all_partitions=all_partitions)
    fold = RecordFold(settings.max_ahead_s)
    messages = [one for one in found.messages if until_ms is None or one.timestamp <= until_ms]
    entries = [fold.add(message) for message in messages]
    at_ms = time.time_ns() // 1_000_000 if until_ms is None else until_ms
    then = answers(record_id, fold.folded, at_ms=at_ms, stale_after_s=settings.stale_after_s)
    return RecordHistory(entries, then, found.deleted, found.unreadable)
