"""Records and details as answers need them: facts are the JSON that is stored. Pure.

Most facts stand in answers as they are stored. Copying their JSON takes less time than decoding it to the values of
:mod:`replog.entities` and encoding these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct

from replog.entities import Overview  # noqa: TC001 - the structs' types
from replog.fields import DETAIL, RECORD
from replog.records import (
    Progressed,
    facts_content,
    facts_decoder,
    last_ms,
    numbers_of,
    outcome_content,
    progress_content,
    start_ms,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class RawRecord(Struct, gc=False):
    """One run of a task but for its id.

    ``facts`` has an attribute for each fact: JSON, or None where it is absent. ``overview`` lacks what is expected,
    which is a fact.
    """

    facts: Any
    status: str
    start_ms: int
    end_ms: int | None
    error_reason: Raw | None
    replicated_bytes: Raw | None
    total_bytes: Raw | None
    overview: Overview
    last_ms: int


class RawDetail(Struct, gc=False):
    """One thing copied to one cluster but for its ids.

    ``facts`` is as a record's, but for ``repo_type`` and ``conflict_strategy``: answers change these, so that they are
    texts.
    """

    facts: Any
    status: str
    progress: Progressed
    start_ms: int
    end_ms: int | None
    error_reason: Raw | None
    last_ms: int


_record_facts = facts_decoder(RECORD, Raw)
_detail_facts = facts_decoder(DETAIL, Raw, repo_type=str, conflict_strategy=str)


def record_from(registers: Sequence[bytes | None], overview: Overview) -> RawRecord:
    """The record that these registers say; they have had at least one event."""
    start, facts, outcome, progress, last = [register or b"" for register in registers]
    status, ms, reason = outcome_content(outcome)
    replicated, total = _bytes(progress_content(progress))
    return RawRecord(
        _record_facts(facts_content(facts)),
        status.name,
        start_ms(start),
        ms if status.terminal else None,
        Raw(reason) if reason else None,
        replicated,
        total,
        overview,
        last_ms(last),
    )


def _bytes(content: bytes) -> Sequence[Raw | None]:
    return [Raw(number) for number in content[1:-1].split(b",")] if content else (None, None)


def detail_from(start: bytes, facts: bytes, outcome: bytes, progress: bytes, last: bytes) -> RawDetail:
    """The detail that these registers say, which are as ``detail_codec.unpack_contents`` gives them."""
    status, ms, reason = outcome_content(outcome)
    return RawDetail(
        _detail_facts(facts),
        status.name,
        numbers_of(progress),
        start_ms(start),
        ms if status.terminal else None,
        Raw(reason) if reason else None,
        last_ms(last) if last else ms,
    )
