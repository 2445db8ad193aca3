"""Records and details as they are read: plain values, from registers. Pure.

Attributes stand in the order of the field table (:mod:`replog.fields`), by which facts are read. Times are milliseconds
since 1970-01-01 UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import astuple

from replog.fields import DETAIL, RECORD
from replog.records import (
    Progressed,
    Registers,
    bytes_of,
    facts_content,
    facts_decoder,
    last_ms,
    outcome_of,
    progress_of,
    start_ms,
)
from replog.statuses import RUNNING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Overview(NamedTuple):
    """A record's roll-up over its details; ``total_size`` in bytes."""

    success: int
    failed: int
    running: int
    expected: int | None
    skip: int
    conflict: int
    total_size: int

    @property
    def total(self) -> int:
        """All details."""
        return self.success + self.failed + self.running


class Record(NamedTuple):
    """One run of a task."""

    id: str
    task_key: str
    task_name: str | None
    replica_type: str | None
    replica_object_type: str | None
    status: str
    start_ms: int
    end_ms: int | None
    error_reason: str | None
    replicated_bytes: int | None
    total_bytes: int | None
    overview: Overview
    last_ms: int


class Detail(NamedTuple):
    """One thing copied to one cluster; ``size`` in bytes."""

    id: str
    record_id: str
    local_cluster: str | None
    remote_cluster: str | None
    repo_name: str | None
    repo_type: str
    package_name: str | None
    package_key: str | None
    versions: list[str] | None
    path: str | None
    artifact_name: str | None
    version: str | None
    conflict_strategy: str | None
    size: int | None
    sha256: str | None
    status: str
    progress: Progressed
    start_ms: int
    end_ms: int | None
    error_reason: str | None
    last_ms: int


_record_facts = facts_decoder(RECORD, Any)
_detail_facts = facts_decoder(DETAIL, Any)


def record_from(record_id: str, registers: Registers, overview: Overview) -> Record:
    """The record that these registers say; they have had at least one event."""
    facts = _record_facts(facts_content(registers.facts))
    status, end_ms, reason = outcome_of(registers.outcome)
    replicated_bytes, total_bytes = bytes_of(registers.progress)
    # By position: with names, making the tuple costs as much as reading the registers.
    return Record(
        record_id,
        facts.task_key,
        facts.task_name,
        facts.replica_type,
        facts.replica_object_type,
        status,
        start_ms(registers.start),
        end_ms,
        reason,
        replicated_bytes,
        total_bytes,
        overview._replace(expected=facts.expected_details),
        last_ms(registers.last),
    )


def detail_from(record_id: str, detail_id: str, registers: Sequence[bytes]) -> Detail:
    """The detail that these registers say; they have had at least one event."""
    start, known, outcome, progress, last = registers
    status, end_ms, reason = outcome_of(outcome)
    values: tuple[Any, ...] = (
        detail_id,
        record_id,
        *astuple(_detail_facts(facts_content(known))),
        status,
        progress_of(progress),
        start_ms(start),
        end_ms,
        reason,
        last_ms(last),
    )
    return Detail(*values)


def is_stale(status: str, silent_since_ms: int, *, now_ms: int, stale_after_s: int) -> bool:
    """Whether what is RUNNING has had no event for longer than ``stale_after_s`` seconds."""
    return status == RUNNING and silent_since_ms <= stale_until(now_ms, stale_after_s=stale_after_s)


def stale_until(now_ms: int, *, stale_after_s: int) -> int:
    """The last millisecond of staleness: a RUNNING entity is stale if its last event was then or before."""
    return now_ms - stale_after_s * 1000 - 1


def stale_from(silent_since_ms: int, *, stale_after_s: int) -> int:
    """The first millisecond at which what is RUNNING is stale, if nothing is heard of it."""
    return silent_since_ms + stale_after_s * 1000 + 1
