"""Records and details as answers need them: facts are the JSON that is stored. Pure.

Most facts stand in answers as they are stored. Copying their JSON takes less time than decoding it to the values of
:mod:`replog.entities` and encoding these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Raw, Struct
from msgspec.json import Decoder

from replog.entities import Overview  # noqa: TC001 - the structs' types
from replog.fields import DETAIL, RECORD
from replog.records import (
    MS_BIAS,
    MS_BYTES,
    MS_TOP,
    TIME_BYTES,
    Progressed,
    facts_content,
    facts_decoder,
    facts_type,
    last_ms,
    outcome_content,
    progress_content,
    progress_of_all,
    start_ms,
)
from replog.statuses import BY_LETTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.records import Registers


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
    """One thing copied to one cluster.

    ``facts`` is as a record's, but for ``repo_type`` and ``conflict_strategy``: answers change these, so that they are
    texts.
    """

    record_id: str
    id: str
    facts: Any
    status: str
    progress: Progressed
    start_ms: int
    end_ms: int | None
    error_reason: Raw | None
    last_ms: int


class DetailContents(NamedTuple):
    """The registers of some details, column by column, in a form that is read fast.

    ``outcomes`` are registers without their letters of status, which are bytes by themselves. ``facts`` and
    ``progress`` are JSON without order keys. A register of the last event is empty where its time is the outcome's.
    """

    starts: Sequence[bytes]
    facts: Sequence[bytes]
    outcomes: Sequence[bytes]
    letters: Sequence[int]
    progress: Sequence[bytes]
    lasts: Sequence[bytes]


_from_bytes = int.from_bytes
_START_MS = MS_TOP - MS_BIAS
_record_facts = facts_decoder(RECORD, Raw)
_facts_of_details = Decoder(list[facts_type(DETAIL, Raw, repo_type=str, conflict_strategy=str)]).decode  # type: ignore[misc] # made from the table


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


def contents_of(details: Iterable[Registers]) -> DetailContents:
    """The contents of the registers of some details, one at least, which have had at least one event each."""
    starts, facts, outcomes, progress, lasts = zip(*details, strict=True)
    return DetailContents(
        starts,
        list(map(facts_content, facts)),
        [outcome[:-1] for outcome in outcomes],
        [outcome[-1] for outcome in outcomes],
        list(map(progress_content, progress)),
        lasts,
    )


def details_from(ids: Iterable[tuple[str, bytes]], contents: DetailContents) -> list[RawDetail]:
    """The details of these ids of a record and a detail, from their contents.

    JSON is decoded for all details at once, and times are read without calling a function: calls for each detail take
    twice as long.
    """
    facts = _facts_of_details(b"[%b]" % b",".join(contents.facts))
    progress = progress_of_all(contents.progress)
    columns = (contents.starts, contents.outcomes, contents.letters, contents.lasts)
    details = []
    for (record_id, detail_id), known, reached, start, outcome, letter, last in zip(
        ids, facts, progress, *columns, strict=True
    ):
        # Times are as start_ms, outcome_content and last_ms say.
        time = outcome[0] + 2
        outcome_ms = _from_bytes(outcome[time : time + MS_BYTES]) - MS_BIAS
        reason_at = time + TIME_BYTES
        status = BY_LETTER[letter]
        detail = RawDetail(
            record_id,
            detail_id.decode(),
            known,
            status.name,
            reached,
            _START_MS - _from_bytes(start[-TIME_BYTES:-2]),
            outcome_ms if status.terminal else None,
            Raw(outcome[reason_at:]) if len(outcome) > reason_at else None,
            _from_bytes(last[:MS_BYTES]) - MS_BIAS if last else outcome_ms,
        )
        details.append(detail)
    return details
