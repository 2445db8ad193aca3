"""The result of one merge: effects of its events, transitions of its records, and the acknowledged calls. Pure.

Whatever follows from a merge (metrics, event accounting, checkpoints, notifications) reads it here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from replog.fields import RECORD
from replog.records import Effect, facts_of, outcome_of
from replog.statuses import BY_LETTER, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from replog.store.write.batch import FoldedErasure, Mergeable, MergeableBatch

#: Storage code of the field.
_TASK_KEY = next(field.code for field in RECORD if field.code and field.name == "task_key")


class RecordTransition(NamedTuple):
    """One change of a record's outcome by which the record ended or was reopened.

    A record *ends* when its outcome becomes SUCCESS or FAILED, from none, from RUNNING, or from another end: a later
    end, or one with another reason, is a new end. It is *reopened* when an outcome of RUNNING, of a later attempt,
    replaces an end.

    The store decides this in the script call that changes the outcome, so exactly one merge sees each transition,
    however many collectors merge at once. A merge of events that change nothing sees none. Outcomes that one batch
    passes through are folded before the store is asked: a batch sees one transition of a record at most.
    """

    record_id: str
    #: Key of the task as the record's current facts name it.
    task_key: str
    #: Status before; None where the record was not known.
    before: str | None
    #: Status after: SUCCESS or FAILED of a record that ended, RUNNING of one that was reopened.
    status: str
    #: Time of the end in ms since 1970; None of a record that was reopened.
    end_ms: int | None
    error_reason: str | None
    #: Orders the transitions of one record, in whichever order merges report them: the greatest is the current one.
    order: bytes

    @property
    def ended(self) -> bool:
        """Whether the record ended; otherwise it was reopened."""
        return self.status != RUNNING


class MergeResult(NamedTuple):
    """The store's answer to a batch."""

    #: Number of events by type and effect; their sum is the length of the batch.
    effects: Counter[tuple[str, Effect]]
    #: In no order between records.
    transitions: Sequence[RecordTransition]
    #: Under which the buckets note the calls of this merge.
    merge_id: str
    #: Number of calls that the store acknowledged, by bucket.
    calls: Mapping[int, int]


def transition_of(record_id: str, *, before: bytes, outcome: bytes, facts: bytes) -> RecordTransition:
    """The transition to the register ``outcome``, from the status letter ``before``; empty for no status."""
    status, end_ms, reason = outcome_of(outcome)
    known = BY_LETTER[before[0]].name if before else None
    return RecordTransition(record_id, facts_of(facts)[_TASK_KEY], known, status, end_ms, reason, outcome)


def effects_of(
    batch: MergeableBatch, answers: Iterable[tuple[Mergeable | FoldedErasure, Effect]]
) -> Counter[tuple[str, Effect]]:
    """The effects of all events of ``batch``, given the store's effect for each of its entities.

    Events that changed a folded entity share the store's effect for it. The others had theirs in the fold.
    """
    types = batch.absorbed
    for folded, effect in answers:
        types[effect].update(folded.event_types)
    return Counter({(name, effect): count for effect, counts in types.items() for name, count in counts.items()})
