"""Outcomes: a record's end or reopening as a CloudEvent, which collectors publish. Pure.

The same transition always makes an event of the same ``id``, whoever publishes it and however often.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from cloudevents.core.v1.event import CloudEvent
from msgspec.json import decode

from replog.answers import encode, record_answer
from replog.records import outcome_of, outcome_order, outcome_time_us
from replog.statuses import FAILED, RUNNING, SUCCESS

if TYPE_CHECKING:
    from replog.raw_entities import RawRecord

#: The type of an event, by the status that the record then has.
TYPES: dict[str, str] = {
    SUCCESS: "replog.record.succeeded",
    FAILED: "replog.record.failed",
    RUNNING: "replog.record.reopened",
}
#: The status that the record has in an event of a type.
STATUS_OF = {name: status for status, name in TYPES.items()}
CONTENT_TYPE = "application/json"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Hexadecimal digits of an id.
_ID_DIGITS = 32


def source_of(topic: str) -> str:
    """The ``source`` of all events of the records whose events are on ``topic``: a URI reference."""
    return f"/replog/{topic}"


def outcome_event(record_id: str, record: RawRecord, outcome: bytes, *, source: str) -> CloudEvent:
    """The event of the transition to the register ``outcome``.

    ``data`` is the ``record`` as the query API answers it, in UTC. ``sequence`` orders the events of one record, as
    texts. ``partitionkey``, which is the key of the message in Kafka, is the record's task key.
    """
    status, _, _ = outcome_of(outcome)
    order = outcome_order(outcome)
    attributes = {
        "id": _id_of(record_id, outcome, order),
        "source": source,
        "type": TYPES[status],
        "subject": record_id,
        "time": _EPOCH + timedelta(microseconds=outcome_time_us(outcome)),
        "datacontenttype": CONTENT_TYPE,
        "sequence": order.hex(),
        "partitionkey": decode(record.facts.task_key),
    }
    # It was not silent at that moment.
    return CloudEvent(attributes, encode(record_answer(record_id, record, UTC, stale=False)))


def _id_of(record_id: str, outcome: bytes, order: bytes) -> str:
    # A record is reopened once in an attempt, by whichever of its events is merged first. An end is its whole register.
    attempt = order[: outcome[0] + 1]
    transition = attempt if outcome_of(outcome)[0] == RUNNING else outcome
    return sha256(record_id.encode() + b"\0" + transition).hexdigest()[:_ID_DIGITS]
