"""The keyspace, in words.

Every key is ``PREFIX:{BUCKET}:KIND:ID``, without ``:ID`` where it belongs to the bucket. ``{BUCKET}`` is one of
:data:`BUCKETS` hash tags, from a stable hash of the id, so that all keys of one record, and all keys of one task's
list, live in one slot of Redis Cluster and one script call updates them together.

=========  ========  ===================================================================================
kind       type      holds
=========  ========  ===================================================================================
record     hash      of a record: its registers ``start facts outcome progress last``; ``tasks``, the task keys it was
                     published with (msgpack), the 16 smallest; ``lists``, the era of the writer that knows its tasks'
                     lists to be up to date, or the merge that has found them behind, after ``?``, or after ``!`` where
                     ``gone`` has keys that were in ``tasks`` before (msgpack); ``v``, a counter that moves with every
                     change of the record or its details, and ``w``, when that was (ms by the collector's clock);
                     ``ahead``, time of its newest event in ms, where that was later than when it was written; ``nX``,
                     details of status X; ``s1``..``s5``, sums over its details (see
                     :mod:`replog.store.format.index_entries`); ``pairs``, numbers given to pairs so far;
                     ``fPAIR``, the pair's numbers of details, of each status in the order of
                     :data:`replog.statuses.STATUSES`, with commas in between
details    hash      of a record: detail id -> pair number, status, registers, indexed names and sums, packed as
                     :mod:`replog.store.format.detail_codec` says
bystatus   lex zset  of a record: ``X time id``, each detail: the details of one status are in order of time
pairs      lex zset  of a record: ``cluster NUL repo NUL scheme NUL PAIR``, each distinct pair and its number
bypair     lex zset  of a record: ``PAIR X time short``, each detail
byname     lex zset  of a record: ``X kind name NUL PAIR time short``, each name of each detail
task       hash      of a task: record id -> msgpack of its start and outcome registers; under the empty id a
                     counter that moves with every change; under NUL what the task is indexed under, ``X time``
tasktime   zset      of a task: record id, score = start in ms
taskstat   lex zset  of a task: ``X time id``, each record
tasks      lex zset  of a bucket: ``X time key``, ``* time key`` and ``=X key NUL time``, each task: status of its
                     latest record, and when that had its last activity (see :mod:`replog.store.read.tasks.task_pages`)
moved      string    of a bucket: a counter that moves with every change of a task's list
due        zset      of a bucket: record id, score = time of its last event, its own or a detail's, in ms; none
                     counts as later than when it was written
running    zset      of a bucket: id of a record that is RUNNING, score = time of its own last event, in ms
unfinished set       of a bucket: id of a record that has RUNNING details
removed    zset      of a bucket: id of a record that retention removed, score as in ``due``
claimed    hash      of a bucket: id of a removed record -> its ``ahead``
left       zset      of a bucket: ``key NUL id`` of a task and a record that has left its list, score = when, in ms;
                     kept for a day
erased     hash      of a bucket: id of a record that was erased -> up to which time, 9 bytes as in an order key: its
                     *generation* (none is the empty one); no event up to then is in the record
erasedat   zset      of a bucket: the same ids, score = when it was written, in ms
relisting  hash      of a bucket: id of an erased record -> msgpack of its generation, and of task keys whose lists may
                     still hold what it was before
restoring  hash      of a bucket: id of an erased record that had later events -> its generation; until these are read
                     from the topic again
listed     hash      of a bucket: ``key NUL id`` of a task and a record -> the generation that the list has, or has had,
                     of the record; none where that is the empty one; kept for a day
listedat   zset      of a bucket: the fields of ``listed``, score = when it was written, in ms
applied    hash      of a bucket: ``GROUP:TOPIC:PARTITION`` -> checkpoint: offset before which everything is applied
                     that concerns the bucket
asof       hash      of a bucket: ``GROUP:TOPIC`` -> msgpack of when the broker was asked for the partitions, and an
                     array of times in ms, one a partition, up to which everything of it that concerns the bucket
                     is applied; 0 for unknown (see :mod:`replog.store.read.as_of`)
calls      string    of a bucket and one merge of a batch: a bit for each call that the bucket took; gone once its
                     offsets are applied, or a day later
outbox     lex zset  of a bucket: outcomes of records that are not published yet, where collectors publish them (see
                     :mod:`replog.store.write.outbox`)
leaving    hash      of a bucket: id of a removed record -> what its tasks' lists may still hold of it
copied     string    of a bucket: note of a copy under way that it has the bucket's records (see
                     :mod:`replog.store.transfer.receiving`)
layout     string    of a bucket: number of the layout and, after a space, the version of replog that wrote it; there
                     before the first record or task of the bucket is (see :mod:`replog.store.format.layout`)
=========  ========  ===================================================================================

PAIR is a pair's number as :mod:`replog.store.format.detail_codec` says, X a status letter, ``time`` 7 bytes
(milliseconds, biased); ``short`` the id as :mod:`replog.store.format.short_ids` has it; texts are escaped by
:func:`replog.store.format.index_entries.escape`, and what a scheme is, says that module.
"""

from __future__ import annotations

from zlib import crc32

#: How many hash tags the keys are spread over. Fixed for ever: changing it moves every key.
BUCKETS = 64


class RecordKeys:
    """The six keys of one record, in the order the scripts take them; ``all`` is the list of them."""

    __slots__ = ("all", "bucket")

    def __init__(self, prefix: str, record_id: str) -> None:
        raw = record_id.encode()
        self.bucket = BucketKeys(prefix, crc32(raw) % BUCKETS)
        self.all = [self.bucket.head + kind + raw for kind in _RECORD_KINDS]

    @property
    def former(self) -> list[bytes]:
        """Keys that earlier layouts have of a record, and this one has not."""
        raw = self.record[len(self.bucket.head + _RECORD_KINDS[0]) :]
        return [self.bucket.head + kind + raw for kind in _FORMER_KINDS]

    @property
    def record(self) -> bytes:
        """The record's hash."""
        return self.all[0]

    @property
    def details(self) -> bytes:
        """The hash of its details."""
        return self.all[1]

    @property
    def by_status(self) -> bytes:
        """Its details by status and time."""
        return self.all[2]

    @property
    def pairs(self) -> bytes:
        """Its pairs of cluster and repository."""
        return self.all[3]

    @property
    def by_pair(self) -> bytes:
        """Its details by pair, status and time."""
        return self.all[4]

    @property
    def by_name(self) -> bytes:
        """Its details by status and name."""
        return self.all[5]


class BucketKeys:
    """Keys of a bucket beside those of its records and tasks; all begin with ``head``."""

    __slots__ = ("head", "number")

    def __init__(self, prefix: str, bucket: int) -> None:
        self.number = bucket
        self.head = b"%b:{%d}:" % (prefix.encode(), bucket)

    def record(self, raw_id: bytes) -> bytes:
        """The hash of a record of this id, which is one of its."""
        return self.head + _RECORD_KINDS[0] + raw_id

    @property
    def tasks(self) -> bytes:
        """Its tasks by activity and by key."""
        return self.head + b"tasks"

    @property
    def moved(self) -> bytes:
        """Counter of the changes of its tasks' lists."""
        return self.head + b"moved"

    @property
    def due(self) -> bytes:
        """Records by the time of their last event."""
        return self.head + b"due"

    @property
    def running(self) -> bytes:
        """RUNNING records by the time of their own last event."""
        return self.head + b"running"

    @property
    def unfinished(self) -> bytes:
        """Records that have RUNNING details."""
        return self.head + b"unfinished"

    @property
    def applied(self) -> bytes:
        """Offsets of partitions that are applied."""
        return self.head + b"applied"

    @property
    def as_of(self) -> bytes:
        """Up to which time partitions are applied."""
        return self.head + b"asof"

    def calls(self, merge_id: str) -> bytes:
        """Calls of one merge that the bucket took."""
        return self.head + b"calls:" + merge_id.encode()

    @property
    def removed(self) -> bytes:
        """Records that retention removed."""
        return self.head + b"removed"

    @property
    def claimed(self) -> bytes:
        """Times that events of removed records claimed beyond the time of their writing."""
        return self.head + b"claimed"

    @property
    def left(self) -> bytes:
        """Records that have left tasks' lists for good."""
        return self.head + b"left"

    @property
    def erased(self) -> bytes:
        """Generations of erased records."""
        return self.head + b"erased"

    @property
    def erased_at(self) -> bytes:
        """The same records, by when they were erased."""
        return self.head + b"erasedat"

    @property
    def relisting(self) -> bytes:
        """Erased records that their tasks' lists may still hold as they were."""
        return self.head + b"relisting"

    @property
    def restoring(self) -> bytes:
        """Erased records whose later events have to be read again."""
        return self.head + b"restoring"

    @property
    def listed(self) -> bytes:
        """Generations of records in tasks' lists."""
        return self.head + b"listed"

    @property
    def listed_at(self) -> bytes:
        """The same, by when they were written."""
        return self.head + b"listedat"

    @property
    def layout(self) -> bytes:
        """In which layout the bucket is."""
        return self.head + b"layout"

    @property
    def copied(self) -> bytes:
        """Note that a copy of another store has all of the bucket."""
        return self.head + b"copied"

    @property
    def outbox(self) -> bytes:
        """Outcomes of records that are not published yet."""
        return self.head + b"outbox"

    @property
    def leaving(self) -> bytes:
        """Removed records that their tasks' lists may still hold."""
        return self.head + b"leaving"


def bucket_of(name: str) -> int:
    """The number of the bucket that holds the record of this id, or the list of the task of this key."""
    return crc32(name.encode()) % BUCKETS


def record_key(prefix: str, record_id: str) -> bytes:
    """The key of a record's hash alone."""
    raw = record_id.encode()
    return b"%b:{%d}:record:%b" % (prefix.encode(), crc32(raw) % BUCKETS, raw)


def task_bucket(prefix: str, task_key: str) -> BucketKeys:
    """The bucket of a task's list."""
    return BucketKeys(prefix, crc32(task_key.encode()) % BUCKETS)


def task_keys(prefix: str, task_key: str) -> list[bytes]:
    """The three keys of a task's list of records: entries, by time, by status."""
    raw = task_key.encode()
    # As of its bucket, which is not made for each of many tasks.
    head = b"%b:{%d}:" % (prefix.encode(), crc32(raw) % BUCKETS)
    return [head + kind + raw for kind in _TASK_KINDS]


_RECORD_KINDS = (b"record:", b"details:", b"bystatus:", b"pairs:", b"bypair:", b"byname:")
#: Of layout 1: the record's details by time.
_FORMER_KINDS = (b"time:",)
_TASK_KINDS = (b"task:", b"tasktime:", b"taskstat:")
