"""The states that the topic's events make, folded in memory and spilled to a temporary SQLite file.

Memory is bounded by :class:`InMemory`, whatever the topic has; beside that, the times of its erasures are held. The
events of one record are mostly near each other, so that most of them are folded before they are spilled. What is
spilled is appended; an index is made when the topic is read to its end, and rows of one detail that were spilled apart
are joined when they are read. So the topic is read once, and Redis is not asked to hold a second store: a million
details take some 500 MB of disk. It is read a second time

- where something that was spilled, and erased afterwards, may have events that are later than the erasure: a row is a
  join, and hides them;
- where an event names a task that is verified alone, and its record is not in the task's list: earlier events of the
  record were passed over.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import msgpack

from replog.errors import InvalidEventError
from replog.events import RecordErased, parse
from replog.records import EMPTY, Registers, join, last_ms, time_bytes
from replog.store.format.keys import BUCKETS, bucket_of
from replog.store.transfer.register_scan import Erasure, RecordPart
from replog.store.write.batch import MOST_TASK_KEYS, Batch
from replog.store.write.offsets import Span
from replog_collector.kafka.source import Unreadable
from replog_repair.verification.fold_selection import Selection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from replog.events import Event
    from replog_collector.kafka.source import Message
    from replog_collector.pipeline.clock_limit import AheadLimit
    from replog_collector.topics.reader import TopicReader

#: How much later than the topic's first message a record must begin, in ms, for all of its events to be there: the
#: clocks of workers and brokers differ.
CLOCKS_DIFFER_MS = 60_000
_STEP = 250
_NO_DETAIL = ""


@dataclass(frozen=True)
class InMemory:
    """Limits of what is folded in memory before it is spilled, beside one poll of the reader."""

    #: Some 100 MB.
    events: int = 100_000
    #: Bytes of their messages: one may have a MiB.
    bytes: int = 64 * 1024 * 1024


_IN_MEMORY = InMemory()


class TopicFold:
    """Folds a topic. A context manager: the temporary file goes with it.

    ``progress`` is called with offsets read and to read. Only events of the records in ``selection`` are folded.
    """

    def __init__(
        self,
        reader: TopicReader,
        ahead: AheadLimit,
        *,
        progress: Callable[[int, int], None],
        selection: Selection | None = None,
        in_memory: InMemory = _IN_MEMORY,
        folder: Path | None = None,
    ) -> None:
        self._reader = reader
        self._ahead = ahead
        self._progress = progress
        self._selection = selection or Selection()
        self._in_memory = in_memory
        self._place = TemporaryDirectory(prefix="replog-verify-", dir=folder)
        self._rows = _Rows(Path(self._place.name) / "fold.sqlite")
        self._batch = Batch()
        #: Bytes of the messages in the batch.
        self._bytes = 0
        self._positions: dict[int, int] | None = None
        #: Timestamp of the first message of those partitions that do not begin with the first offset.
        self._begins_ms: dict[int, int] = {}
        #: Whether offsets are missing between the messages, as compaction and transactions leave them.
        self.has_gaps = False
        #: Up to which times records are erased, in us.
        self._erased: dict[str, int] = {}
        #: By record that was erased since the last rows were, the last row of what came before its erasure.
        self._to_erase: dict[str, int] = {}
        self._messages = 0
        self._gaps = False
        self.events = 0
        self.invalid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        self._place.cleanup()

    @property
    def positions(self) -> Mapping[int, int]:
        """By partition, the offset before which the topic is folded."""
        return self._positions or {}

    async def renew(self) -> None:
        """Read on to the topic's ends as they are now. Raises BrokerUnavailable, FatalError."""
        spans = await self._spans()
        self._messages = 0
        async for messages in self._reader.read(spans):
            for message in messages:
                self._take(message, spans)
            self._went_on()
        self._spill()
        if self._messages < sum(span.end - span.begin for span in spans.values()):
            self.has_gaps = True
        self._positions = {number: span.end for number, span in spans.items()}
        await self._fold_again(self._erase_rows() | self._selection.close())

    def _erase_rows(self) -> set[str]:
        """Take what was spilled before its erasure out of the rows; returns the records that may have later events."""
        again: set[str] = set()
        for record_id, last_row in self._to_erase.items():
            if not self._rows.erase(record_id, last_row, self._erased[record_id]):
                again.add(record_id)
        self._to_erase = {}
        return again

    async def _fold_again(self, again: Collection[str]) -> None:
        """Fold all events of these records from the beginning of the topic, now that their erasures are known."""
        if not again:
            return
        for record_id in again:
            self._rows.remove(record_id)
        spans = {
            number: Span(span.begin, self._positions[number])
            for number, span in (await self._reader.available()).items()
            if self._positions and span.begin < self._positions.get(number, 0)
        }
        async for messages in self._reader.read(spans):
            for message in messages:
                if isinstance(message, Unreadable):
                    continue
                event = self._event(message.value)
                if event and event.record_id in again and not isinstance(event, RecordErased):
                    self._add(event, message)
            self._went_on()
        self._spill()

    def _went_on(self) -> None:
        if len(self._batch) > self._in_memory.events or self._bytes > self._in_memory.bytes:
            self._spill()
        self._progress(self._reader.progress.read, self._reader.progress.total)

    async def erasure(self, record_id: str) -> Erasure:
        """The latest erasure of the record in the topic."""
        erased_us = self._erased.get(record_id)
        return Erasure(record_id, b"" if erased_us is None else time_bytes(erased_us), restoring=False)

    async def record_ids(self, bucket: int) -> AsyncIterator[Sequence[str]]:
        """The ids of a bucket's records, in steps."""
        for ids in self._rows.record_ids(bucket):
            yield ids

    async def task_records(self, task_key: str) -> AsyncIterator[Sequence[str]]:
        """The ids of the records that are of a task, in steps."""
        for bucket in range(BUCKETS):
            for ids in self._rows.record_ids(bucket):
                yield [i for i in ids if (record := self._rows.record(i)) and task_key in record.task_keys]

    async def record(self, record_id: str) -> RecordPart | None:
        """A record without its details."""
        record = self._rows.record(record_id)
        return record and record._replace(generation=(await self.erasure(record_id)).generation)

    async def details(self, record_id: str, ids: Collection[str]) -> Mapping[str, Registers]:
        """Those of these details that the topic's events make."""
        return self._rows.details(record_id, ids)

    async def detail_count(self, record_id: str) -> int:
        """The number of the record's details."""
        return self._rows.detail_count(record_id)

    async def detail_steps(self, record_id: str) -> AsyncIterator[Mapping[str, Registers]]:
        """All details of the record, in steps."""
        for step in self._rows.detail_steps(record_id):
            yield step

    def is_whole(self, start_ms: int) -> bool:
        """Whether the topic has all events of what began then.

        It began after the topic's first message, and nothing between the messages may have been compacted.
        """
        if self.has_gaps:
            return False
        return not self._begins_ms or start_ms > max(self._begins_ms.values()) + CLOCKS_DIFFER_MS

    async def _spans(self) -> Mapping[int, Span]:
        available = await self._reader.available()
        if self._positions is None:
            self._begins_ms = {number: 0 for number, span in available.items() if span.begin > 0}
            return available
        return {
            number: Span(min(self._positions.get(number, span.begin), span.end), span.end)
            for number, span in available.items()
        }

    def _take(self, message: Message | Unreadable, spans: Mapping[int, Span]) -> None:
        number = message.partition
        if number in self._begins_ms and not self._begins_ms[number]:
            # Where the broker does not tell, nothing is known of what was before.
            self._begins_ms[number] = message.timestamp if message.timestamp > 0 else int(time.time() * 1000)
        self._messages += 1
        if isinstance(message, Unreadable):
            self._messages += message.last - message.offset
            self.invalid += 1
        elif message.value is not None:
            self._fold(message)

    def _fold(self, message: Message) -> None:
        event = self._event(message.value)
        if event is None:
            self.invalid += 1
        elif isinstance(event, RecordErased):
            # Also of a record that is not selected: it may be selected by a later event.
            self.events += 1
            self._erase(event)
        elif self._selection.takes(event):
            self.events += 1
            self._add(event, message)

    def _event(self, value: bytes | None) -> Event | None:
        """The event that a collector would apply; None where it would dead-letter it."""
        if value is None:
            return None
        try:
            event = parse(value)
        except InvalidEventError:
            return None
        return event if event.event_us <= self._ahead.latest_us() else None

    def _add(self, event: Event, message: Message) -> None:
        erased_us = self._erased.get(event.record_id)
        if erased_us is None or event.event_us > erased_us:
            self._batch.add(event)
            self._bytes += len(message.value or b"")

    def _erase(self, event: RecordErased) -> None:
        known = self._erased.get(event.record_id)
        if known is not None and event.event_us <= known:
            return
        self._erased[event.record_id] = event.event_us
        self._to_erase[event.record_id] = self._rows.last
        folded = self._batch.records.get(event.record_id)
        if folded:
            self._batch.records[event.record_id] = folded.later_than(event.event_us)

    def _spill(self) -> None:
        self._rows.append(_rows_of(self._batch))
        self._batch, self._bytes = Batch(), 0


def _rows_of(batch: Batch) -> Iterator[tuple[Any, ...]]:
    for record_id, folded in batch.records.items():
        bucket = bucket_of(record_id)
        if folded.record:
            tasks = msgpack.packb(folded.task_keys)
            yield bucket, record_id, _NO_DETAIL, *folded.record.registers, tasks
        for detail_id, detail in folded.details.items():
            yield bucket, record_id, detail_id, *detail.registers, None


class _Rows:
    """The spilled rows: a record or a detail each, of which there may be several of one."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        # The file is of this process alone, and goes with it.
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE rows (bucket INTEGER, record TEXT, detail TEXT, start BLOB, facts BLOB, outcome BLOB, "
            "progress BLOB, last BLOB, tasks BLOB)"
        )
        self._indexed = False
        #: The number of the last row.
        self.last = 0

    def close(self) -> None:
        self._db.close()

    def append(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")
        ((self.last,),) = self._db.execute("SELECT coalesce(max(rowid), 0) FROM rows").fetchall()

    def erase(self, record_id: str, last_row: int, erased_us: int) -> bool:
        """Remove the rows up to ``last_row`` of a record; False where they may have events later than the erasure."""
        place = (bucket_of(record_id), record_id, last_row)
        ((newest,),) = self._all("SELECT max(last) FROM rows WHERE bucket = ? AND record = ? AND rowid <= ?", place)
        if newest is not None and last_ms(newest) >= erased_us // 1000:
            return False
        self._all("DELETE FROM rows WHERE bucket = ? AND record = ? AND rowid <= ?", place)
        return True

    def remove(self, record_id: str) -> None:
        """Remove all rows of a record."""
        self._all("DELETE FROM rows WHERE bucket = ? AND record = ?", (bucket_of(record_id), record_id))

    def record_ids(self, bucket: int) -> Iterator[list[str]]:
        last = ""
        while True:
            found = self._all(
                "SELECT DISTINCT record FROM rows WHERE bucket = ? AND record > ? ORDER BY record LIMIT ?",
                (bucket, last, _STEP),
            )
            if not found:
                return
            yield [record_id for (record_id,) in found]
            last = found[-1][0]

    def record(self, record_id: str) -> RecordPart | None:
        rows = self._all(
            "SELECT start, facts, outcome, progress, last, tasks FROM rows "
            "WHERE bucket = ? AND record = ? AND detail = ?",
            (bucket_of(record_id), record_id, _NO_DETAIL),
        )
        ((newest,),) = self._all(
            "SELECT max(last) FROM rows WHERE bucket = ? AND record = ?", (bucket_of(record_id), record_id)
        )
        if newest is None:
            return None
        task_keys = sorted({key for row in rows for key in msgpack.unpackb(row[-1])})[:MOST_TASK_KEYS]
        registers = _joined(row[:-1] for row in rows)
        return RecordPart(record_id, last_ms(newest), registers, tuple(task_keys), {})

    def details(self, record_id: str, ids: Collection[str]) -> dict[str, Registers]:
        marks = ",".join("?" * len(ids))
        rows = self._all(
            "SELECT detail, start, facts, outcome, progress, last FROM rows "  # noqa: S608 - question marks
            f"WHERE bucket = ? AND record = ? AND detail IN ({marks})",
            (bucket_of(record_id), record_id, *ids),
        )
        return _by_detail(rows)

    def detail_count(self, record_id: str) -> int:
        ((count,),) = self._all(
            "SELECT count(DISTINCT detail) FROM rows WHERE bucket = ? AND record = ? AND detail <> ?",
            (bucket_of(record_id), record_id, _NO_DETAIL),
        )
        return int(count)

    def detail_steps(self, record_id: str) -> Iterator[dict[str, Registers]]:
        last = _NO_DETAIL
        while True:
            ids = self._all(
                "SELECT DISTINCT detail FROM rows WHERE bucket = ? AND record = ? AND detail > ? "
                "ORDER BY detail LIMIT ?",
                (bucket_of(record_id), record_id, last, _STEP),
            )
            if not ids:
                return
            yield self.details(record_id, [detail_id for (detail_id,) in ids])
            last = ids[-1][0]

    def _all(self, question: str, values: tuple[Any, ...]) -> list[Any]:
        if not self._indexed:
            self._db.execute("CREATE INDEX by_detail ON rows (bucket, record, detail)")
            self._indexed = True
        return self._db.execute(question, values).fetchall()


def _by_detail(rows: list[Any]) -> dict[str, Registers]:
    ordered = sorted(rows, key=itemgetter(0))
    return {detail_id: _joined(row[1:] for row in same) for detail_id, same in groupby(ordered, key=itemgetter(0))}


def _joined(rows: Iterable[Sequence[bytes]]) -> Registers:
    state = EMPTY
    for row in rows:
        state = join(state, Registers(*row))
    return state
