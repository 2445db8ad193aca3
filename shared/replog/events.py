"""The event contract: what replication workers publish (docs/events.md), as one pydantic model per event type.

This module is the one definition that the publisher, the collector, the tests and the documentation share.
:func:`parse` turns a message's value into an event or says what is wrong with it; :func:`encode` is its inverse.
Times are whole microseconds since 1970-01-01 UTC (``event_us``); nothing here does I/O.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    with_config,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from replog.errors import InvalidEventError

#: Largest accepted value of a message, in bytes.
MAX_VALUE_BYTES = 1024 * 1024
#: Largest accepted integer: signed 64 bit, as in the clients' languages.
MAX_INTEGER = 2**63 - 1
#: The repository type of a detail that names none.
DEFAULT_REPO_TYPE = "GENERIC"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000
_FIRST_S = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_LAST_S = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:)(\d\d)(?:\.(\d{1,6}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
#: Seconds kept parsed: events of one batch are close in time.
_KEPT_SECONDS = 8192


def parse_time_us(text: object) -> int:
    """Microseconds since the epoch of an RFC 3339 time with offset.

    A leap second counts as the second before it.

    Raises:
        ValueError: not such a time, or outside the years 1 to 9999 in UTC.
    """
    if not isinstance(text, str) or not (match := _RFC3339.fullmatch(text)):
        raise ValueError("an RFC 3339 time with offset and at most 6 fraction digits, as 2021-05-12T12:19:08.813Z")
    minute, second, fraction, offset = match.groups()
    second_us = _second_us(minute, second, offset)
    return second_us + int(fraction.ljust(6, "0")) if fraction else second_us


@lru_cache(_KEPT_SECONDS)
def _second_us(minute: str, second: str, offset: str) -> int:
    text = minute + ("59" if second == "60" else second) + offset
    seconds = (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(seconds=1)
    if not _FIRST_S <= seconds <= _LAST_S:
        raise ValueError("a time within the years 1 to 9999 in UTC")
    return seconds * _SECOND_US


def format_time_us(time_us: int) -> str:
    """The RFC 3339 text of ``time_us``, in UTC with six fraction digits."""
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%04Y-%m-%dT%H:%M:%S.%fZ")


Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
DetailId = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(max_length=1024)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
TimeUs = Annotated[
    int,
    BeforeValidator(parse_time_us),
    PlainSerializer(format_time_us, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Outcome = Literal["SUCCESS", "FAILED"]


_CONFIG = ConfigDict(strict=True, frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class _Model(BaseModel):
    model_config = _CONFIG


# Dictionaries, not models: most events are of progress, and a nested model costs as much to make as its event.
@with_config(_CONFIG)
class Tally(TypedDict, total=False):
    """How many of one kind of thing were handled, absolute; what is left out is 0."""

    total: Count
    success: Count
    skip: Count
    failed: Count


@with_config(_CONFIG)
class Progress(TypedDict, total=False):
    """How far a detail has got, absolute and never a delta; ``total_size`` in bytes, 0 where left out."""

    blob: Tally | None
    node: Tally | None
    version: Tally | None
    total_size: Count


class _Event(_Model):
    record_id: Id = Field(description="one execution (run) of a task; unique for ever")
    event_us: TimeUs = Field(alias="eventTime", description="when it happened, by the worker's clock")
    event_id: str | None = Field(default=None, description="for tracing and logs only")
    attempt: Count = Field(default=0, description="a retry inside one run; a higher one supersedes all lower ones")


class _RecordEvent(_Event):
    task_key: Id = Field(description="the task")


class RecordStarted(_RecordEvent):
    """A run of a task began; its time is the record's ``startTime``."""

    type: Literal["record.started"] = "record.started"
    task_name: Text | None = None
    replica_type: Literal["SCHEDULED", "REAL_TIME", "RUN_ONCE", "EDGE_PULL", "FEDERATION"] | None = None
    replica_object_type: Literal["REPOSITORY", "PACKAGE", "PATH"] | None = None
    expected_details: Count | None = Field(default=None, description="how many details this run will have, if known")


class _RecordBytes(_RecordEvent):
    replicated_bytes: Count | None = Field(default=None, description="absolute")
    total_bytes: Count | None = Field(default=None, description="absolute")


class RecordProgressed(_RecordBytes):
    """A sign of life of a run."""

    type: Literal["record.progressed"] = "record.progressed"


class RecordFinished(_RecordBytes):
    """A run ended; its time is the record's ``endTime``."""

    type: Literal["record.finished"] = "record.finished"
    status: Outcome
    error_reason: str | None = None


class _DetailEvent(_Event):
    detail_id: DetailId = Field(description="one thing replicated to one remote cluster; unique inside its record")
    task_key: Id | None = None
    local_cluster: Text | None = None
    remote_cluster: Text | None = None
    repo_name: Text | None = None
    repo_type: Text | None = Field(default=None, description=f"{DEFAULT_REPO_TYPE} where absent")
    package_name: Text | None = None
    package_key: Text | None = Field(default=None, description="as npm://helloworld")
    versions: list[Text] | None = None
    version: Text | None = None
    path: Annotated[str, Field(max_length=4096)] | None = None
    artifact_name: Text | None = None
    size: Count | None = Field(default=None, description="bytes")
    sha256: Text | None = None
    conflict_strategy: Text | None = Field(default=None, description="set where there was a conflict")


class DetailStarted(_DetailEvent):
    """Work on a detail began; its time is the detail's ``startTime``."""

    type: Literal["detail.started"] = "detail.started"


class DetailProgressed(_DetailEvent):
    """A detail got further."""

    type: Literal["detail.progressed"] = "detail.progressed"
    progress: Progress


class DetailFinished(_DetailEvent):
    """A detail ended; its time is the detail's ``endTime``."""

    type: Literal["detail.finished"] = "detail.finished"
    status: Outcome
    error_reason: str | None = None
    progress: Progress | None = None


RecordEvent = RecordStarted | RecordProgressed | RecordFinished
DetailEvent = DetailStarted | DetailProgressed | DetailFinished
Event = Annotated[RecordEvent | DetailEvent, Field(discriminator="type")]

EVENT: TypeAdapter[RecordEvent | DetailEvent] = TypeAdapter(Event)


def parse(value: bytes) -> RecordEvent | DetailEvent:
    """The event in a message's value.

    Raises:
        InvalidEventError: the value breaks the contract; the message names the field and what it holds.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidEventError("too_large", f"value of {len(value)} bytes; at most {MAX_VALUE_BYTES} are allowed")
    try:
        if b"NaN" in value or b"Infinity" in value:
            orjson.loads(value)  # pydantic's parser lets these pass, JSON knows no such numbers
        # By the contract's names alone: the fields' own names in Python are unknown extra fields like any other.
        return EVENT.validate_json(value, by_alias=True, by_name=False)
    except orjson.JSONDecodeError as error:
        raise InvalidEventError("not_json", f"value is not JSON: {error}") from None
    except ValidationError as error:
        raise _invalid(error) from None


def encode(event: RecordEvent | DetailEvent) -> bytes:
    """The message value of ``event``: JSON with the contract's names; what is absent is left out."""
    return event.model_dump_json(by_alias=True, exclude_none=True).encode()


_REASONS = {
    "json_invalid": "not_json",
    "union_tag_not_found": "missing_field",
    "union_tag_invalid": "unknown_type",
    "missing": "missing_field",
}
_SHOWN_CHARACTERS = 120


def _invalid(error: ValidationError) -> InvalidEventError:
    problem = error.errors(include_url=False)[0]
    reason = _REASONS.get(problem["type"], "invalid_field")
    if reason == "not_json":
        return InvalidEventError(reason, f"value is not JSON: {problem['msg']}")
    if not problem["loc"] and not problem["type"].startswith("union_tag"):
        return InvalidEventError("not_an_object", f"value is no JSON object: {_shown(problem['input'])}")
    if problem["type"].startswith("union_tag"):
        found = problem["input"].get("type") if isinstance(problem["input"], dict) else None
        return InvalidEventError(reason, "type is missing" if found is None else f"type is unknown: {_shown(found)}")
    # The first place is the discriminator's value, which the reader knows from the event itself.
    field = ".".join(str(place) for place in problem["loc"][1:])
    if reason == "missing_field":
        return InvalidEventError(reason, f"{field} is missing")
    return InvalidEventError(
        reason,
        f"{field} is wrong: {problem['msg'].removeprefix('Value error, ')}; found {_shown(problem['input'])}",
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"


def canonical(content: Any) -> bytes:
    """Canonical JSON of ``content``: keys sorted, no spaces, UTF-8."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
