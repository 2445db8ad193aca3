"""Verifies a whole store, or a part of it, while events flow.

The first round examines everything. What differs there may only be under way: a batch that is merged and not yet in the
tasks' lists, or events that a collector has not applied yet. So what differs is examined again, round after round, with
what has come to the topic since, until two rounds in a row find the same, or :attr:`Rounds.most` are over.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from replog.errors import StoreRefused
from replog.records import EMPTY
from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys, record_key
from replog.store.inspect.bucket_check import examine_bucket
from replog.store.inspect.findings import Finding
from replog.store.inspect.mending import mend
from replog.store.inspect.task_check import examine_task, indexed_tasks, listed_records
from replog.store.transfer.register_scan import GARBLED, RegisterScan
from replog.store.transfer.stored_states import StoredStates
from replog.store.write.writer import Writer
from replog_repair.verification.record_comparison import Compared, Comparison

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog_repair.verification.expectation import Expectation

#: Records that are examined at the same time; their calls share pipelines.
RECORDS_AT_ONCE = 32
#: Differences that are kept and named; beyond them the store is different anyway.
MOST_FINDINGS = 10_000
#: Labels of findings in which the store has more than it should: it may have got that since the topic was read.
_MORE = ("newer_", "extra_")

T = TypeVar("T")


@dataclass(frozen=True)
class Rounds:
    """Limits of the rounds in which differences settle."""

    #: Rounds after the first, and seconds before each.
    most: int = 10
    pause_s: float = 1.0
    #: Rounds of repairs at most: they end where one changes nothing.
    repairs: int = 50


_ROUNDS = Rounds()


class Reporter(Protocol):
    """Takes the progress of long work."""

    def begin(self, step: str) -> None:
        """Name the step that begins."""

    def update(self, done: int, total: int) -> None:
        """Note how far the step is."""


@dataclass
class Verdict:
    """The result.

    Of the records ``at_least`` only that much could be compared; those ``unsettled`` never held still.
    """

    records: int = 0
    details: int = 0
    tasks: int = 0
    at_least: int = 0
    findings: list[Finding] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    repaired: int = 0
    #: Whether there were more findings than are kept.
    cut: bool = False


class _Suspects:
    """Records and tasks of which the last round found something."""

    def __init__(self) -> None:
        self.records: dict[str, Compared] = {}
        self.tasks: dict[str, list[Finding]] = {}
        self.unsteady: set[str] = set()
        self.loose: list[Finding] = []

    def __bool__(self) -> bool:
        return bool(self.records or self.tasks or self.unsteady or self.loose)

    @property
    def findings(self) -> list[Finding]:
        found = [finding for compared in self.records.values() for finding in compared.findings]
        return [*found, *(finding for findings in self.tasks.values() for finding in findings), *self.loose]

    @property
    def identities(self) -> set[object]:
        return {finding.identity for finding in self.findings} | {("unsteady", name) for name in self.unsteady}


class Verifier:
    """Verifies the store behind ``connection`` against ``expectation``. Methods raise StoreUnavailable.

    ``kept_since_ms``: what had its last event before may have been taken by retention.
    """

    def __init__(
        self,
        connection: CommandRunner,
        expectation: Expectation,
        *,
        kept_since_ms: int,
        report: Reporter,
        rounds: Rounds = _ROUNDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._expectation = expectation
        self._comparison = Comparison(connection, expectation, kept_since_ms=kept_since_ms, unreadable=self._unreadable)
        self._scan = RegisterScan(connection, unreadable=self._unreadable)
        self._report = report
        self._rounds = rounds
        self._sleep = sleep
        self._verdict = Verdict()
        self._suspects = _Suspects()
        self._total = 0

    async def verify_all(self, *, repair: bool = False) -> Verdict:
        """Verify everything; with ``repair``, put right what can be, and say what is left."""
        await self._begin()
        self._total = await self._scan.count()
        occupied = {*await self._scan.occupied()}
        for bucket in range(BUCKETS):
            await (self._verify_bucket(bucket) if bucket in occupied else self._miss_all(bucket, set()))
        return await self._settled(repair=repair)

    async def verify_record(self, record_id: str, *, repair: bool = False) -> Verdict:
        """Verify one record with its details, indexes and places in lists."""
        await self._begin()
        await self._compare_any([record_id], self._suspects)
        return await self._settled(repair=repair)

    async def verify_task(self, task_key: str, *, repair: bool = False) -> Verdict:
        """Verify the list of one task, and all records of it."""
        await self._begin()
        ids: set[str] = set()
        for found in (listed_records(self._connection, task_key), self._expectation.task_records(task_key)):
            ids.update([record_id async for some in found for record_id in some])
        for some in _parts(sorted(ids), RECORDS_AT_ONCE):
            await self._compare_any(some, self._suspects)
        await self._examine_tasks([task_key], self._suspects)
        return await self._settled(repair=repair)

    async def _begin(self) -> None:
        await self._expectation.renew()
        self._report.begin("compare the store")

    async def _verify_bucket(self, bucket: int) -> None:
        there: set[str] = set()
        async for ids in self._scan.record_ids(bucket):
            new = [record_id for record_id in ids if record_id not in there]
            there.update(new)
            for some in _parts(new, RECORDS_AT_ONCE):
                await self._compare(some, self._suspects)
                self._report.update(self._verdict.records + self._verdict.details, self._total)
        await self._miss_all(bucket, there)
        tasks: set[str] = set()
        async for keys in indexed_tasks(self._connection, bucket):
            tasks.update(keys)
            await self._examine_tasks(keys, self._suspects)
        self._verdict.tasks += len(tasks)
        found = await examine_bucket(self._connection, bucket, records=there, tasks=tasks)
        if found:
            self._suspects.loose += found

    async def _miss_all(self, bucket: int, there: set[str]) -> None:
        async for ids in self._expectation.record_ids(bucket):
            await self._miss([record_id for record_id in ids if record_id not in there], self._suspects)

    async def _compare_any(self, ids: Sequence[str], suspects: _Suspects) -> None:
        """Compare records that the store may have or not."""
        rows = await self._connection.run([Command("ZSCORE", [self._bucket(i).due], [i]) for i in ids])
        there = [record_id for record_id, score in zip(ids, rows, strict=True) if score is not None]
        await self._compare(there, suspects)
        await self._miss([record_id for record_id in ids if record_id not in {*there}], suspects)

    async def _compare(self, ids: Sequence[str], suspects: _Suspects) -> None:
        for compared in await _together([self._compared(record_id) for record_id in ids]):
            self._note(compared, suspects)
            if suspects is self._suspects:
                self._verdict.records += 1
                self._verdict.details += compared.details
                self._verdict.at_least += not compared.exact

    async def _compared(self, record_id: str) -> Compared:
        try:
            return await self._comparison.compare(record_id)
        except (StoreRefused, *GARBLED) as error:
            key = record_key(self._connection.prefix, record_id)
            finding = Finding("unreadable", record_id, key, f"cannot be read: {error}")
            return Compared(record_id, [finding])

    def _note(self, compared: Compared, suspects: _Suspects) -> None:
        if compared.findings:
            if len(suspects.records) >= MOST_FINDINGS:
                self._verdict.cut = True
                return
            suspects.records[compared.record_id] = compared
        if not compared.steady:
            suspects.unsteady.add(compared.record_id)

    async def _miss(self, ids: Sequence[str], suspects: _Suspects) -> None:
        """Note those of the records, which the store does not have, that retention has not removed."""
        for record_id in ids:
            compared = await self._comparison.missing(record_id)
            if compared.findings and not await self._was_removed(record_id):
                self._note(compared, suspects)

    async def _was_removed(self, record_id: str) -> bool:
        bucket = self._bucket(record_id)
        removed, claimed = await self._connection.run(
            [
                Command("ZSCORE", [bucket.removed], [record_id]),
                Command("HGET", [bucket.claimed], [record_id]),
            ]
        )
        record = await self._expectation.record(record_id)
        return removed is not None and record is not None and record.newest_ms <= int(claimed or removed)

    async def _examine_tasks(self, keys: Iterable[str], suspects: _Suspects) -> None:
        some = [*keys]
        all_examined = await _together([examine_task(self._connection, key) for key in some])
        for examined, key in zip(all_examined, some, strict=True):
            if examined.findings:
                suspects.tasks[key] = examined.findings
            if not examined.steady:
                suspects.unsteady.add(_task_name(key))
                suspects.tasks.setdefault(key, [])

    async def _settled(self, *, repair: bool) -> Verdict:
        before: set[object] = set()
        for _ in range(self._rounds.most):
            if not self._suspects or self._suspects.identities == before:
                break
            before = self._suspects.identities
            self._report.begin(f"examine again what differs: {len(before)}")
            await self._sleep(self._rounds.pause_s)
            self._suspects = await self._again(self._suspects)
        if repair:
            count = len(self._suspects.findings)
            await self._repair()
            self._verdict.repaired = max(0, count - len(self._suspects.findings))
        verdict, suspects = self._verdict, self._suspects
        verdict.findings = suspects.findings[:MOST_FINDINGS]
        verdict.cut |= len(suspects.findings) > MOST_FINDINGS
        verdict.unsettled = sorted(suspects.unsteady)
        return verdict

    async def _again(self, suspects: _Suspects) -> _Suspects:
        """Examine the suspects again, with what has come to the topic since."""
        ids = sorted({*suspects.records} | {name for name in suspects.unsteady if not name.startswith(_TASK)})
        calls = [Command("HGET", [record_key(self._connection.prefix, record_id)], ["v"]) for record_id in ids]
        versions = dict(zip(ids, await self._connection.run(calls), strict=True))
        await self._expectation.renew()
        found = _Suspects()
        found.loose = await self._still(suspects.loose)
        for some in _parts(ids, RECORDS_AT_ONCE):
            await self._compare_any(some, found)
        # What was written since the topic was read may say more than the topic did.
        for record_id, compared in [*found.records.items()]:
            if compared.version != versions[record_id]:
                kept = [finding for finding in compared.findings if not finding.what.startswith(_MORE)]
                found.records[record_id] = compared._replace(findings=kept)
                if not kept:
                    del found.records[record_id]
        await self._examine_tasks(suspects.tasks, found)
        found.tasks = {
            key: findings for key, findings in found.tasks.items() if findings or _task_name(key) in found.unsteady
        }
        return found

    async def _still(self, findings: list[Finding]) -> list[Finding]:
        """Those of the findings about whose records and tasks nothing has changed."""
        guards = [finding.guard for finding in findings if finding.guard]
        versions = await self._connection.run([Command("HGET", [guard.key], [guard.field]) for guard in guards])
        stand = {guard for guard, version in zip(guards, versions, strict=True) if version == guard.value}
        return [finding for finding in findings if finding.guard is None or finding.guard in stand]

    async def _repair(self) -> None:
        """Put right what the last round found, and examine that again, until nothing changes any more."""
        for _ in range(self._rounds.repairs):
            findings = self._suspects.findings
            if not findings:
                return
            self._report.begin(f"repair: {len(findings)}")
            before = self._suspects.identities
            # Merging comes last: it lists again what was taken off for the lack of its record.
            await mend(self._connection, findings)
            await self._merge_lacking()
            self._suspects.loose = [finding for finding in self._suspects.loose if not finding.edit]
            self._suspects = await self._again(self._suspects)
            if self._suspects.identities == before:
                return

    async def _merge_lacking(self) -> None:
        """Merge what the store lacks, and records again that are missing in a list: merging lists them."""
        writer = Writer(self._connection)
        for compared in self._suspects.records.values():
            if compared.lacks:
                await self._merge_expected(writer, compared.record_id)
            if any(finding.what == "not_listed" for finding in compared.findings):
                stored = await self._scan.record(compared.record_id)
                if stored:
                    await writer.merge(StoredStates([stored]))

    async def _merge_expected(self, writer: Writer, record_id: str) -> None:
        erasure = await self._expectation.erasure(record_id)
        if erasure.generation:
            await writer.merge(StoredStates(erasures={record_id: erasure.generation}))
        record = await self._expectation.record(record_id)
        if record is None:
            return
        await writer.merge(StoredStates([record]))
        part = record._replace(registers=EMPTY, task_keys=(), begins=False)
        async for step in self._expectation.detail_steps(record_id):
            await writer.merge(StoredStates([part._replace(details=step)]))

    def _bucket(self, record_id: str) -> BucketKeys:
        return RecordKeys(self._connection.prefix, record_id).bucket

    def _unreadable(self, key: bytes, why: str) -> None:
        self._suspects.loose.append(Finding("unreadable", "", key, why))


_TASK = "task "


def _task_name(key: str) -> str:
    return f"{_TASK}{key}"


def _parts(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (ids[i : i + size] for i in range(0, len(ids), size))


async def _together(work: Sequence[Awaitable[T]]) -> list[T]:
    """The results of all ``work``, in order; the first error once all of it has ended."""
    found: list[T] = []
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        found.append(outcome)
    return found
