"""The answers of the query service about a folded record, rendered as the service renders them. Pure."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

from replog import raw_entities
from replog.entities import Overview, detail_from
from replog.statuses import FAILED, RUNNING, SUCCESS
from replog_api.queries.render import Renderer, overview

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.entities import Detail
    from replog.raw_entities import RawRecord
    from replog.records import Registers
    from replog.store.write.batch import FoldedRecord

NO_DETAILS = Overview(0, 0, 0, None, 0, 0, 0)


class RecordAnswers(NamedTuple):
    """Answers of docs/api.md, as JSON: the run (None where only details are known), the roll-up, and the details.

    Details come with the newest start first.
    """

    run: dict[str, Any] | None
    overview: dict[str, Any]
    details: list[dict[str, Any]]


class FoldedRecordRow(NamedTuple):
    """A record to render."""

    record_id: str
    registers: Registers
    roll_up: Overview

    def read_raw(self) -> RawRecord:
        """The content of its registers."""
        return raw_entities.record_from(self.registers, self.roll_up)


def answers(record_id: str, folded: FoldedRecord, *, at_ms: int, stale_after_s: int) -> RecordAnswers | None:
    """The answers at a time; None where nothing was known."""
    details = {name: detail_from(record_id, name, state.registers) for name, state in folded.details.items()}
    if folded.record is None and not details:
        return None
    rolled_up = _roll_up(list(details.values()))
    renderer = Renderer(UTC, now_ms=at_ms, stale_after_s=stale_after_s)
    run = None
    if folded.record is not None:
        run = json.loads(renderer.run(FoldedRecordRow(record_id, folded.record.registers, rolled_up)))
    ordered = sorted(details.values(), key=lambda detail: (detail.start_ms, detail.id.encode()), reverse=True)
    shown = run["record"]["replicaOverview"] if run else json.loads(overview(rolled_up))
    return RecordAnswers(run, shown, _shown_details(record_id, [one.id for one in ordered], folded, renderer))


def _shown_details(
    record_id: str, detail_ids: Sequence[str], folded: FoldedRecord, renderer: Renderer
) -> list[dict[str, Any]]:
    if not detail_ids:
        return []
    contents = raw_entities.contents_of(folded.details[detail_id].registers for detail_id in detail_ids)
    ids = [(record_id, detail_id.encode()) for detail_id in detail_ids]
    details = raw_entities.details_from(ids, contents)
    shown: list[dict[str, Any]] = json.loads(renderer.details(details))
    return shown


def _roll_up(details: list[Detail]) -> Overview:
    by_status = [detail.status for detail in details]
    return Overview(
        by_status.count(SUCCESS),
        by_status.count(FAILED),
        by_status.count(RUNNING),
        None,
        sum(detail.progress.artifacts.skip for detail in details),
        sum(detail.conflict_strategy is not None for detail in details),
        sum(detail.progress.total_size for detail in details),
    )
