"""Compares one record of a store with what it should have, and with what the store derives from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from replog.records import EMPTY, Registers, join, last_ms, start_ms, time_us
from replog.store.client.command import Command
from replog.store.format.keys import RecordKeys
from replog.store.inspect.findings import MOST_OF_ONE, Finding
from replog.store.inspect.record_check import examine
from replog.store.transfer.register_scan import RegisterScan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replog.store.client.pipelining import CommandRunner
    from replog.store.transfer.register_scan import Erasure, RecordPart
    from replog_repair.verification.expectation import Expectation


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Ends of the labels of findings about registers; the others are about what the store derives from them.
_OF_REGISTERS = ("_record", "_detail", "task_keys")


class Compared(NamedTuple):
    """A record that was compared.

    ``lacks`` tells that the store lacks something: merging what it should have repairs that. ``exact`` is false where
    the record could only be compared as "at least": events of it may be gone from the topic.
    """

    record_id: str
    findings: list[Finding]
    lacks: bool = False
    details: int = 0
    steady: bool = True
    exact: bool = True
    version: bytes | None = None


class Comparison:
    """Compares the store behind ``connection`` with ``expectation``.

    Of what ended before ``kept_since_ms`` and is missing, retention may have taken it: that is no difference. Of a
    record that was erased and has later events that are still to be read from the topic, nothing is compared.
    """

    def __init__(
        self,
        connection: CommandRunner,
        expectation: Expectation,
        *,
        kept_since_ms: int,
        unreadable: Callable[[bytes, str], None],
    ) -> None:
        self._connection = connection
        self._scan = RegisterScan(connection, unreadable=unreadable)
        self._expectation = expectation
        self._kept_since_ms = kept_since_ms

    async def compare(self, record_id: str) -> Compared:
        """Compare a record that the store has. Raises StoreUnavailable, StoreRefused."""
        erasures = await self._erasures(record_id)
        if not erasures.are_comparable:
            return self._compare_erasures(erasures)
        compared = await self._compare_registers(record_id)
        if erasures.is_behind and any(finding.what.endswith(_OF_REGISTERS) for finding in compared.findings):
            return compared._replace(findings=[*compared.findings, self._not_erased(erasures)], lacks=True)
        return compared

    async def missing(self, record_id: str) -> Compared:
        """The comparison of a record that the store does not have."""
        expected = await self._expectation.record(record_id)
        if expected is None or expected.newest_ms < self._kept_since_ms:
            return Compared(record_id, [])
        erasures = await self._erasures(record_id)
        if not erasures.are_comparable:
            return self._compare_erasures(erasures)
        key = RecordKeys(self._connection.prefix, record_id).record
        finding = Finding("missing_record", record_id, key, "the record is missing")
        return Compared(record_id, [finding], lacks=True)

    async def _erasures(self, record_id: str) -> _Erasures:
        return _Erasures(await self._scan.erasure(record_id), await self._expectation.erasure(record_id))

    def _compare_erasures(self, erasures: _Erasures) -> Compared:
        """The comparison of a record of which the store, or what it is compared with, lacks later events for now."""
        stored, record_id = erasures.stored, erasures.stored.record_id
        if erasures.is_restoring or not self._expectation.is_whole(time_us(stored.generation) // 1000):
            return Compared(record_id, [], exact=False)
        key = RecordKeys(self._connection.prefix, record_id).bucket.erased
        text = f"it is erased up to {_time(stored)}, and should be {_up_to(erasures.expected)}"
        return Compared(record_id, [Finding("newer_erasure", record_id, key, text)])

    def _not_erased(self, erasures: _Erasures) -> Finding:
        record_id = erasures.stored.record_id
        key = RecordKeys(self._connection.prefix, record_id).record
        text = f"it should be {_up_to(erasures.expected)}, and is {_up_to(erasures.stored)}"
        return Finding("not_erased", record_id, key, text)

    async def _compare_registers(self, record_id: str) -> Compared:
        expected = await self._expectation.record(record_id)
        of = _OfRecord(self._connection.prefix, record_id, expected, self._expectation)
        examined = await examine(self._connection, record_id, of.compare_details)
        of.compare_record(examined.registers, examined.task_keys)
        if expected and of.matched < await self._expectation.detail_count(record_id):
            await of.find_missing(self._connection, self._kept_since_ms)
        findings = [*examined.findings, *of.found]
        return Compared(record_id, findings, of.lacks, examined.details, examined.steady, of.exact, examined.version)


class _Erasures(NamedTuple):
    """The erasures of one record: that of the store, and that of what it should have."""

    stored: Erasure
    expected: Erasure

    @property
    def is_restoring(self) -> bool:
        """Whether later events are still to be read from the topic."""
        return self.stored.restoring or self.expected.restoring

    @property
    def are_comparable(self) -> bool:
        """Whether the record in the store should be as it is expected."""
        return not self.is_restoring and self.stored.generation <= self.expected.generation

    @property
    def is_behind(self) -> bool:
        """Whether the store should have erased more."""
        return self.stored.generation < self.expected.generation


def _up_to(erasure: Erasure) -> str:
    return f"erased up to {_time(erasure)}" if erasure.generation else "not erased"


def _time(erasure: Erasure) -> str:
    return (_EPOCH + timedelta(microseconds=time_us(erasure.generation))).isoformat()


class _OfRecord:
    def __init__(self, prefix: str, record_id: str, expected: RecordPart | None, expectation: Expectation) -> None:
        self._id = record_id
        self._keys = RecordKeys(prefix, record_id)
        self._expected = expected
        self._expectation = expectation
        self._began_ms = -(1 << 62)
        self.matched = 0
        self.exact = True
        self.found: list[Finding] = []
        self.lacks = False

    async def compare_details(self, details: Mapping[str, Registers]) -> None:
        """Compare a step of the stored details."""
        if not details:
            return
        if self._expected is None:
            self._began_ms = max(self._began_ms, *(start_ms(of.start) for of in details.values()))
            return
        expected = await self._expectation.details(self._id, [*details])
        self.matched += len(expected)
        for detail_id, stored in details.items():
            should = expected.get(detail_id, EMPTY)
            what, text = self._difference(stored, should, "detail")
            if not what:
                continue
            self.lacks |= join(stored, should) != stored
            self._find(what, self._keys.details, text, detail_id)

    def compare_record(self, stored: Registers, task_keys: tuple[str, ...]) -> None:
        """Compare the record's own registers, and its tasks."""
        if self._expected is None:
            self._compare_with_nothing(stored)
            return
        should, tasks = self._expected.registers, {*self._expected.task_keys}
        what, text = self._difference(stored, should, "record") if stored.start or should.start else ("", "")
        if not what and tasks - {*task_keys}:
            what, text = "task_keys", f"it is not of the tasks {sorted(tasks - {*task_keys})}"
        if not what:
            return
        self.lacks |= join(stored, should) != stored or what == "task_keys"
        self._find(what, self._keys.record, text)

    def _compare_with_nothing(self, stored: Registers) -> None:
        began_ms = max(self._began_ms, start_ms(stored.start) if stored.start else self._began_ms)
        if self._expectation.is_whole(began_ms):
            self._find("extra_record", self._keys.record, "the record is one too many")
        else:
            self.exact = False

    def _difference(self, stored: Registers, should: Registers, thing: str) -> tuple[str, str]:
        """A label and a text of how they differ; empty where they do not."""
        if stored == should:
            return "", ""
        both = join(stored, should)
        if both != stored:
            names = [name for name, old, new in zip(Registers._fields, stored, both, strict=True) if old != new]
            return (f"different_{thing}" if stored.start else f"missing_{thing}"), f"it lacks newer {', '.join(names)}"
        if not self._expectation.is_whole(start_ms(stored.start)):
            self.exact = False
            return "", ""
        if not should.start:
            return f"extra_{thing}", f"the {thing} is one too many"
        names = [name for name, old, new in zip(Registers._fields, stored, should, strict=True) if old != new]
        return f"newer_{thing}", f"it has newer {', '.join(names)} than it should"

    async def find_missing(self, connection: CommandRunner, kept_since_ms: int) -> None:
        """Find the details that the store does not have."""
        async for step in self._expectation.detail_steps(self._id):
            sizes = await connection.run([Command("HSTRLEN", [self._keys.details], [detail_id]) for detail_id in step])
            absent = [
                detail_id
                for (detail_id, should), size in zip(step.items(), sizes, strict=True)
                if not size and last_ms(should.last) >= kept_since_ms
            ]
            for detail_id in absent:
                self._find("missing_detail", self._keys.details, "the detail is missing", detail_id)
            self.lacks |= bool(absent)

    def _find(self, what: str, key: bytes, text: str, detail_id: str | None = None) -> None:
        if len(self.found) < MOST_OF_ONE:
            self.found.append(Finding(what, self._id, key, text, detail_id))
