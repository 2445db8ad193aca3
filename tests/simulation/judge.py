"""The judge of a simulation: says what is wrong at the moment when it becomes wrong, and at the end.

It looks at the servers themselves, not through the product, and compares with what was published.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from contextlib import contextmanager
from datetime import UTC
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from replog.records import FACTS, Registers, outcome_of, outcome_order
from replog.statuses import RUNNING
from replog.store.format import detail_codec
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys, task_keys
from replog.store.format.rows import RECORD_FIELDS, StoredDetail, StoredRecord, raw_details
from replog_api.queries.render import Renderer
from replog_api.queries.render import overview as rendered_overview
from tests.simulation.redis import PREFIX
from tests.simulation.workload import BEGIN_S as WALL_BEGIN_S
from tests.simulation.workload import STALE_AFTER_S, expected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.simulation.broker import Entry, Partition, SimulatedKafka
    from tests.simulation.redis import Server, SimulatedRedis
    from tests.simulation.schedule import Schedule
    from tests.simulation.workload import Published

_REGISTERS = [name.encode() for name in RECORD_FIELDS[:5]]


class WrongError(Exception):
    """Something is not as it has to be; the text says what."""


@lru_cache(4096)
def _record_keys(record_id: str) -> tuple[bytes, bytes]:
    keys = RecordKeys(PREFIX, record_id)
    return keys.record, keys.details


@lru_cache(256)
def _task_key(task_key: bytes) -> bytes:
    return task_keys(PREFIX, task_key.decode())[0]


@lru_cache(4096)
def _record_bucket(record_id: str) -> int:
    return RecordKeys(PREFIX, record_id).bucket.number


#: Numbers of the buckets by the keys of their checkpoints.
_BUCKETS = {BucketKeys(PREFIX, number).applied: number for number in range(BUCKETS)}
_APPLIED = [BucketKeys(PREFIX, number).applied for number in range(BUCKETS)]


def _holds(state: Sequence[bytes], candidate: Registers) -> bool:
    """Whether a state has everything that an event offered."""
    if not (state[0] >= candidate[0] and state[2] >= candidate[2] and state[3] >= candidate[3]):
        return False
    facts = candidate.facts
    return state[4] >= candidate[4] and (not facts or state[1] == facts or FACTS.greater(state[1], facts) == state[1])


class Judge:
    """Judges one simulation. ``group`` and ``topic`` name its checkpoints."""

    def __init__(self, schedule: Schedule, kafka: SimulatedKafka, redis: SimulatedRedis, *, head: str) -> None:
        self._schedule = schedule
        self._kafka = kafka
        self._redis = redis
        self._head = head.encode()
        self._fields: dict[int, bytes] = {}
        #: Entries of the topic that were deleted before their time, and messages that only they had.
        self.deleted: set[Entry] = set()
        #: By partition, where it ended before the topic was made anew.
        self._former_ends: dict[int, int] = {}
        #: Outcomes published, by record and order.
        self.outcomes: set[tuple[str, str]] = set()
        #: By record, what the topic has of it.
        self._of_record: dict[str, list[Entry]] = {}
        #: Events judged so far, and reads.
        self.checks = 0
        kafka.appended = self._note
        kafka.committing = self._committing
        for server in redis.servers:
            server.keyspace.advanced = self._advanced

    def _note(self, entry: Entry) -> None:
        if entry.event is not None and entry.event.event is not None:
            self._of_record.setdefault(entry.event.record_id, []).append(entry)

    def _field(self, partition: int) -> bytes:
        field = self._fields.get(partition)
        if field is None:
            field = self._fields[partition] = b"%b%d" % (self._head, partition)
        return field

    # What nobody can know any more.

    def topic_deleted(self) -> None:
        """What was in the topic is lost, and nobody's fault."""
        for partition in self._kafka.partitions:
            self.deleted.update(partition.entries)
            self._former_ends[partition.number] = partition.end

    @contextmanager
    def losing(self, server: Server) -> Iterator[None]:
        """A server loses calls. Where a checkpoint of a deleted topic comes back with that, it passes for one of now.

        It does where the topic that is there now has grown as far. What that had before is then lost with the calls,
        and nobody's fault: offsets do not say which topic they are of.
        """
        buckets = [bucket for bucket in range(BUCKETS) if self._redis.server_of_bucket(bucket) is server]
        before = {bucket: self._checkpoints_of(bucket) for bucket in buckets} if self._former_ends else {}
        yield
        for bucket, checkpoints in before.items():
            for number, checkpoint in self._checkpoints_of(bucket).items():
                if checkpoints.get(number, 0) < checkpoint <= self._kafka.partitions[number].end:
                    self.deleted.update(self._kafka.partitions[number].entries[:checkpoint])

    def _checkpoints_of(self, bucket: int) -> dict[int, int]:
        """By partition."""
        applied = self._redis.bucket_content(bucket, _APPLIED[bucket])
        return {
            number: int(applied[field]) for number in self._former_ends if (field := self._field(number)) in applied
        }

    # At any time.

    def _advanced(
        self, applied_key: bytes, moved: Sequence[tuple[bytes, int, int]], told: Sequence[tuple[int, int]]
    ) -> None:
        """Nothing is before a checkpoint that its bucket does not have, and no time claims more than that."""
        bucket = _BUCKETS[applied_key]
        for field, begin, end in moved:
            partition = self._kafka.partitions[int(field[len(self._head) :])]
            self._require_applied(partition, bucket, max(0, begin), end)
        if not told:
            return
        applied = self._redis.bucket_content(bucket, applied_key)
        for number, ms in told:
            end = self._kafka.partitions[number].end_at(ms)
            at = applied.get(self._field(number), 0)
            if at < end and (lacking := self._lacking(self._kafka.partitions[number], bucket, at, end)):
                raise WrongError(
                    f"bucket {bucket} says that it is complete up to {ms} ms in partition {number}, where the topic "
                    f"then had everything before offset {end}; the bucket lacks {lacking}"
                )

    def _require_applied(self, partition: Partition, bucket: int, begin: int, end: int) -> None:
        if lacking := self._lacking(partition, bucket, begin, end):
            raise WrongError(
                f"the checkpoint of bucket {bucket} in partition {partition.number} moves on from {begin} to {end}, "
                f"but the bucket lacks {lacking}"
            )

    def _lacking(self, partition: Partition, bucket: int, begin: int, end: int) -> str:
        """A message of these offsets that a bucket does not have; empty for none."""
        entries = partition.of_bucket.get(bucket, [])
        for entry in islice(entries, bisect_left(entries, begin, key=_offset), None):
            if entry.offset >= end:
                break
            self.checks += 1
            if not self._applied(entry, bucket) and entry not in self.deleted:
                return f"offset {entry.offset} ({_name(entry.event)})"
        return ""

    def _applied(self, entry: Entry, bucket: int) -> bool:
        message = entry.event
        if message is None or message.event is None:
            return True
        redis = self._redis
        if bucket == _record_bucket(message.record_id):
            record_key, details_key = _record_keys(message.record_id)
            if message.detail_key is not None:
                stored = redis.bucket_content(bucket, details_key).get(message.detail_key)
                if stored is None or not _holds(stored.registers, message.registers):
                    return False
            else:
                record = redis.bucket_content(bucket, record_key)
                if not _holds([record.get(name, b"") for name in _REGISTERS], message.registers):
                    return False
        if message.task_key and bucket in message.buckets[-2:] and self._is_task_bucket(message, bucket):
            listed = redis.bucket_content(bucket, _task_key(message.task_key)).get(message.record_key)
            return listed is not None and listed[0] >= message.registers[0] and listed[1] >= message.registers[2]
        return True

    @staticmethod
    def _is_task_bucket(message: Published, bucket: int) -> bool:
        return _record_bucket(message.task_key.decode()) == bucket

    def _committing(self, offsets: dict[int, int]) -> None:
        """Nothing is committed that was not acknowledged by the store, or by the dead-letter topic."""
        committed = self._kafka.group.committed
        for number, offset in offsets.items():
            partition = self._kafka.partitions[number]
            if offset > max(partition.end, self._former_ends.get(number, 0)):
                raise WrongError(f"offset {offset} of partition {number} is committed, which ends at {partition.end}")
            # A commit that comes late may be of a topic that was there before.
            begin = at if (at := committed.get(number, 0)) <= partition.end else 0
            for entry in partition.entries[begin:offset]:
                self._require_settled(entry)

    def _require_settled(self, entry: Entry) -> None:
        message = entry.event
        if entry.control or entry in self.deleted:
            return
        self.checks += 1
        if self._former_ends and self._comes_again(entry):
            # The commit came late, and is of a topic that was there before.
            return
        if message is None or message.event is None:
            if (entry.partition, entry.offset) not in self._kafka.dead_letters:
                raise WrongError(f"{_place(entry)} is committed; it is no event, and no dead letter either")
            return
        field = self._field(entry.partition)
        for bucket in message.buckets:
            if self._applied(entry, bucket):
                continue
            server = self._redis.server_of_bucket(bucket)
            checkpoint = int(self._redis.bucket_content(bucket, _APPLIED[bucket]).get(field, -1))
            # What was acknowledged and lost is read again from the checkpoint.
            if not server.losses or checkpoint > entry.offset:
                raise WrongError(
                    f"{_place(entry)} ({_name(message)}) is committed, but bucket {bucket} has never taken it"
                    if not server.losses
                    else f"{_place(entry)} ({_name(message)}) is committed, and cannot come again"
                )

    def _comes_again(self, entry: Entry) -> bool:
        """Whether no checkpoint is beyond an entry."""
        field = self._field(entry.partition)
        applied = (self._redis.bucket_content(bucket, _APPLIED[bucket]) for bucket in range(BUCKETS))
        return all(int(content.get(field, -1)) <= entry.offset for content in applied)

    def answered(self, record: StoredRecord | None, details: Iterable[StoredDetail], record_id: str, ms: int) -> None:
        """No answer says that it is fresher than it is."""
        if not ms:
            return
        registers = {detail.detail_id: detail for detail in details}
        for entry in self._of_record.get(record_id, ()):
            if entry.timestamp >= ms or entry in self.deleted:
                continue
            self.checks += 1
            message = entry.event
            assert message is not None
            if message.detail_key is None:
                state: Any = [field or b"" for field in record.fields[:5]] if record else None
            else:
                detail = registers.get(message.detail_key)
                state = None if detail is None else _unpacked(detail.value)
            if state is None or not _holds(state, message.registers):
                at = entry.timestamp
                raise WrongError(
                    f"an answer says that it is as of {ms} ms, but lacks {_place(entry)} ({_name(message)}), "
                    f"which the topic had at {at} ms"
                )

    # At the end.

    def is_everything_applied(self) -> bool:
        """Whether the group has committed all, and all checkpoints stand at the ends."""
        for partition in self._kafka.partitions:
            if self._kafka.group.committed.get(partition.number, 0) < partition.stable and partition.end:
                return False
            field = self._field(partition.number)
            for bucket in range(BUCKETS):
                applied = self._redis.bucket_content(bucket, _APPLIED[bucket])
                if int(applied.get(field, -1)) < partition.stable and partition.end:
                    return False
        return True

    def behind(self) -> str:
        """What is not applied, for people."""
        return ", ".join(
            f"partition {partition.number} ends at {partition.end}, committed "
            f"{self._kafka.group.committed.get(partition.number)}"
            for partition in self._kafka.partitions
        )

    def check_answers(self) -> None:
        """Every answer is the oracle's."""
        excused = {entry.event.record_id for entry in self.deleted if entry.event is not None}
        schedule = self._schedule
        model, answers = expected(schedule.workload, schedule.messages, schedule.kept)
        for record_id, (run, overview, details) in answers.items():
            if record_id in excused:
                continue
            self._compare(record_id, run, overview, details)
        for task_key in model.task_keys:
            listed = self._redis.server_of(_task_key(task_key.encode())).keyspace.content(_task_key(task_key.encode()))
            wanted = {record_id.encode() for record_id in model._tasks[task_key]}
            if {*listed} - {b""} != wanted and not excused:
                raise WrongError(f"task {task_key} lists {sorted(listed)} and not {sorted(wanted)}")

    def _compare(self, record_id: str, run: Any, overview: Any, details: Any) -> None:
        record_key, details_key = _record_keys(record_id)
        bucket = _record_bucket(record_id)
        fields = self._redis.bucket_content(bucket, record_key)
        row = StoredRecord(record_id, tuple(_bytes(fields.get(name.encode())) for name in RECORD_FIELDS))
        found = self._redis.bucket_content(bucket, details_key)
        if self._schedule.outcomes and row.known and outcome_of(row.outcome)[0] != RUNNING:
            order = outcome_order(row.outcome).hex()
            if (record_id, order) not in self.outcomes:
                raise WrongError(f"record {record_id} has ended, and nothing was published of that")
        rows = [StoredDetail(record_id, detail_id, detail.encoded()) for detail_id, detail in found.items()]
        shown_run = _parsed(_RENDERER.run(row)) if row.known else None
        shown = {row.detail_id: _parsed(_RENDERER.details(raw_details([row])))[0] for row in rows}
        _require_same(f"record {record_id}", shown_run, run)
        if row.exists:
            _require_same(f"the roll-up of {record_id}", _parsed(rendered_overview(row.read_overview())), overview)
        elif overview is not None:
            raise WrongError(f"record {record_id} is not there")
        _require_same(
            f"the details of {record_id}", sorted(d.decode() for d in shown), sorted(d["id"] for d in details)
        )
        for detail in details:
            _require_same(f"detail {detail['id']} of {record_id}", shown[detail["id"].encode()], detail)


_RENDERER = Renderer(UTC, now_ms=int(WALL_BEGIN_S * 1000), stale_after_s=STALE_AFTER_S)


@lru_cache(65536)
def _parsed(rendered: bytes) -> Any:
    return json.loads(rendered)


@lru_cache(65536)
def _unpacked(value: bytes) -> Registers:
    return detail_codec.unpack(value)


def _bytes(value: Any) -> bytes | None:
    return b"%d" % value if isinstance(value, int) else value


def _require_same(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise WrongError(f"{what} is answered as {found}; the oracle says {wanted}")


_offset = attrgetter("offset")


def _place(entry: Entry) -> str:
    return f"offset {entry.offset} of partition {entry.partition}"


def _name(message: Published | None) -> str:
    if message is None or message.json is None:
        return "no event"
    detail = f" of detail {message.json['detailId']}" if message.detail_key is not None else ""
    return f"message {message.number}, {message.json['type']}{detail} of {message.record_id}"
