"""The event contract: what replication workers publish (docs/events.md), as one msgspec struct per event type.

This module is the one definition that the publisher, the collector, the tests and the documentation share.
:func:`parse` turns a message's value into an event or says what is wrong with it; :func:`encode` is its inverse.
Structs are checked where they are parsed, not where they are made. The keys on the wire and the meanings of fields are
those of :mod:`replog.fields`. Nothing here does I/O.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from replog.errors import InvalidEventError
from replog.fields import DETAIL, EVENT, PROGRESS, RECORD, TALLY, WIRE_NAMES, Field
from replog.statuses import TerminalName  # noqa: TC001 - msgspec reads the annotations
from replog.times import TimeUs, format_time_us, parse_time_us

if TYPE_CHECKING:
    from collections.abc import Callable

#: Largest accepted value of a message, in bytes.
MAX_VALUE_BYTES = 1024 * 1024
#: Largest accepted integer: signed 64 bit, as in the clients' languages.
MAX_INTEGER = 2**63 - 1
#: Characters of an error's reason; of a longer one, all but the last of these are kept, and :data:`CUT` behind them.
MAX_REASON_CHARACTERS = 8192
CUT = "…"
#: Entries of ``versions``.
MAX_VERSIONS = 1000
#: Bytes of an event's facts together, as JSON with the contract's names and without spaces, in UTF-8.
MAX_FACTS_BYTES = 64 * 1024

_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"
# The pattern documents; :func:`parse` holds to it by cheaper means than a regular expression for every event.
Id = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": _NO_CONTROLS})]
DetailId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=1024)]
Path = Annotated[str, Meta(max_length=4096)]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Versions = Annotated[list[Text], Meta(max_length=MAX_VERSIONS)]
Reason = Annotated[
    str,
    Meta(
        description=f"of more than {MAX_REASON_CHARACTERS} characters, "
        f"the first {MAX_REASON_CHARACTERS - 1} are kept, and {CUT} behind them"
    ),
]
ReplicaType = Literal["SCHEDULED", "REAL_TIME", "RUN_ONCE", "EDGE_PULL", "FEDERATION"]
ReplicaObjectType = Literal["REPOSITORY", "PACKAGE", "PATH"]


# Nothing in an event refers back to it: the garbage collector need not look at any.
class _Struct(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename=WIRE_NAMES):
    pass


class Tally(_Struct, frozen=True, kw_only=True):
    """Absolute numbers of one kind of thing that were handled; a number that is left out is 0."""

    total: Count = 0
    success: Count = 0
    skip: Count = 0
    failed: Count = 0


class Progress(_Struct, frozen=True, kw_only=True):
    """Progress of a detail, absolute and never a delta."""

    blob: Tally | None = None
    node: Tally | None = None
    version: Tally | None = None
    total_size: Count = 0


class _Event(_Struct, frozen=True, kw_only=True, tag_field="type"):
    record_id: Id
    event_us: TimeUs
    event_id: str | None = None
    attempt: Count = 0

    #: The event's type, as on the wire: the tag of its class.
    type: ClassVar[str]


class _RecordEvent(_Event, frozen=True, kw_only=True):
    task_key: Id


class RecordStarted(_RecordEvent, frozen=True, kw_only=True, tag="record.started"):
    """A run of a task began; its time is the record's ``startTime``."""

    task_name: Text | None = None
    replica_type: ReplicaType | None = None
    replica_object_type: ReplicaObjectType | None = None
    expected_details: Count | None = None


class _RecordBytes(_RecordEvent, frozen=True, kw_only=True):
    replicated_bytes: Count | None = None
    total_bytes: Count | None = None


class RecordProgressed(_RecordBytes, frozen=True, kw_only=True, tag="record.progressed"):
    """A sign of life of a run."""


class RecordFinished(_RecordBytes, frozen=True, kw_only=True, tag="record.finished"):
    """A run ended; its time is the record's ``endTime``."""

    status: TerminalName
    error_reason: Reason | None = None


class RecordErased(_Event, frozen=True, kw_only=True, tag="record.erased"):
    """All that is known of the run up to this time is forgotten, its details included; what is later makes it anew."""

    task_key: Id | None = None


class _DetailEvent(_Event, frozen=True, kw_only=True):
    detail_id: DetailId
    task_key: Id | None = None
    local_cluster: Text | None = None
    remote_cluster: Text | None = None
    repo_name: Text | None = None
    repo_type: Text | None = None
    package_name: Text | None = None
    package_key: Text | None = None
    versions: Versions | None = None
    version: Text | None = None
    path: Path | None = None
    artifact_name: Text | None = None
    size: Count | None = None
    sha256: Text | None = None
    conflict_strategy: Text | None = None


class DetailStarted(_DetailEvent, frozen=True, kw_only=True, tag="detail.started"):
    """Work on a detail began; its time is the detail's ``startTime``."""


class DetailProgressed(_DetailEvent, frozen=True, kw_only=True, tag="detail.progressed"):
    """A detail got further."""

    progress: Progress


class DetailFinished(_DetailEvent, frozen=True, kw_only=True, tag="detail.finished"):
    """A detail ended; its time is the detail's ``endTime``."""

    status: TerminalName
    error_reason: Reason | None = None
    progress: Progress | None = None


RecordEvent = RecordStarted | RecordProgressed | RecordFinished
DetailEvent = DetailStarted | DetailProgressed | DetailFinished
#: An event of any type. Those that are no :class:`RecordErased` offer candidates to registers.
Event = RecordEvent | RecordErased | DetailEvent

#: The struct of each type of event.
TYPES: dict[str, type[Event]] = {
    "record.started": RecordStarted,
    "record.progressed": RecordProgressed,
    "record.finished": RecordFinished,
    "record.erased": RecordErased,
    "detail.started": DetailStarted,
    "detail.progressed": DetailProgressed,
    "detail.finished": DetailFinished,
}
for _name, _type in TYPES.items():
    _type.type = _name


#: The rows of the field table that describe a struct.
_ROWS: dict[str, tuple[Field, ...]] = {
    "Tally": TALLY,
    "Progress": PROGRESS,
    **{kind.__name__: (*EVENT, *(DETAIL if issubclass(kind, _DetailEvent) else RECORD)) for kind in TYPES.values()},
}


def schema_of(event_type: type[Event]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one type of event, in terms of what is on the wire."""
    schema = msgspec.json.schema(event_type, schema_hook=_schema_of_time)
    _describe(schema["$defs"])
    return schema


def schemas(ref_template: str) -> dict[str, Any]:
    """The same of all types, and of what they are made of, by name; ``ref_template`` says where ``{name}`` is found."""
    _, found = msgspec.json.schema_components(TYPES.values(), schema_hook=_schema_of_time, ref_template=ref_template)
    _describe(found)
    return found


def _describe(found: dict[str, Any]) -> None:
    """Describe the properties of structs, found by name, by the field table, in English and behind it in Chinese."""
    for name, schema in found.items():
        rows = {row.wire: row for row in reversed(_ROWS[name])}
        for key, rule in schema["properties"].items():
            if key in rows:
                texts = [*rows[key].in_events, rule.get("description")]
                rule["description"] = "\n\n".join(filter(None, texts))


#: A date of the Gregorian calendar, in the years 1 to 9999.
_DATE = (
    r"(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?"
_OFFSET = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"


def _schema_of_time(_: type) -> dict[str, Any]:
    # By a pattern, for most validators take a format as a remark; and that of JSON Schema has other leap seconds.
    return {"type": "string", "pattern": f"^{_DATE}[Tt]{_TIME}{_OFFSET}$"}


def _time_of(_: type, text: object) -> TimeUs:
    return parse_time_us(text)


_decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event, dec_hook=_time_of).decode
_encode = msgspec.json.Encoder(enc_hook=format_time_us).encode


def _number_of(text: str) -> int | float:
    """A number with a fraction or an exponent; as an integer where it is whole: 4.0 and 4e0 are 4."""
    number = float(text)
    if not number.is_integer() or abs(number) > MAX_INTEGER:
        return number
    # No number that a double holds is refused or changed for being written so; one beyond 2^53 is as it is written.
    exact = Decimal(text) if number else Decimal(0)
    return int(exact) if int(exact) == exact else number


# Without a hook, a number that no double holds is an error here, where JSON has nothing against it.
_decode_any = msgspec.json.Decoder(float_hook=_number_of).decode


def parse(value: bytes) -> Event:
    """The event in a message's value.

    Raises:
        InvalidEventError: the value breaks the contract; the message names the field and what it holds.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidEventError("too_large", f"value of {len(value)} bytes; at most {MAX_VALUE_BYTES} are allowed")
    try:
        if not value.isascii():
            value.decode()  # the decoder does not look into what it skips
        event = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return event_of(_object_in(value))
    task_key = event.task_key
    # What is printable has no control character; most of what is not has none either.
    if event.record_id.isprintable() and (task_key is None or task_key.isprintable()):
        # A value of so few bytes has nothing in it that is too long.
        return event if len(value) <= MAX_REASON_CHARACTERS else bounded(event)
    return event_of(_object_in(value))


def encode(event: Event) -> bytes:
    """The message value of ``event``: JSON with the contract's names; what is absent is left out."""
    return _encode(event)


def event_of(fields: object) -> Event:
    """The event that a JSON object says, under the contract's names.

    Raises:
        InvalidEventError: it breaks the contract; the message names the field and what it holds.
    """
    if not isinstance(fields, dict):
        raise InvalidEventError("not_an_object", f"value is no JSON object: {_shown(fields)}")
    event_type = _type_of(fields)
    try:
        event = msgspec.convert(fields, event_type, dec_hook=_time_of)
    except msgspec.ValidationError as error:
        raise _invalid(error, fields, event_type) from None
    for name, text in (("recordId", event.record_id), ("taskKey", event.task_key)):
        if text and _CONTROL.search(text):
            raise _wrong(name, "Expected str without control characters", text)
    return bounded(event)


def bounded(event: Event) -> Event:
    """``event`` as it counts: with its error's reason cut to :data:`MAX_REASON_CHARACTERS`.

    Raises:
        InvalidEventError: its facts have more than :data:`MAX_FACTS_BYTES`.
    """
    facts = {wire_name: fact for name, wire_name in _FACTS[type(event)] if (fact := getattr(event, name)) is not None}
    size = len(_encode(facts))
    if size > MAX_FACTS_BYTES:
        raise InvalidEventError("too_large", f"facts of {size} bytes as JSON; at most {MAX_FACTS_BYTES} are allowed")
    reason = getattr(event, "error_reason", None)
    if isinstance(reason, str) and len(reason) > MAX_REASON_CHARACTERS:
        return replace(event, error_reason=reason[: MAX_REASON_CHARACTERS - 1] + CUT)
    return event


def _facts_of(event_type: type[Event]) -> list[tuple[str, str]]:
    """The names of a type's facts, here and on the wire."""
    return [
        (row.name, row.wire)
        for row in _ROWS[event_type.__name__]
        if row.code and row.wire and row.name in event_type.__struct_fields__
    ]


_FACTS = {event_type: _facts_of(event_type) for event_type in TYPES.values()}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _type_of(fields: dict[str, Any]) -> type[Event]:
    if "type" not in fields:
        raise InvalidEventError("missing_field", "type is missing")
    found = fields["type"]
    if not isinstance(found, str) or found not in TYPES:
        raise InvalidEventError("unknown_type", f"type is unknown: {_shown(found)}")
    return TYPES[found]


def _object_in(value: bytes) -> object:
    try:
        text = value.decode()
        try:
            return _decode_any(text)
        except msgspec.DecodeError:
            if (whole := _ESCAPE.sub(_replaced, text)) == text:
                raise
            return _decode_any(whole)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEventError("not_json", f"value is not JSON: {error}") from None


#: An escape of JSON: two halves of a character, a half alone, or any other (of which this is the beginning).
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)


def _replaced(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape["half"] else escape[0]


#: What msgspec says: the rule or the absent field, and where, unless that is the event itself.
_PROBLEM = re.compile(r"(?:Object missing required field `(?P<missing>\w+)`|(?P<rule>.*?))(?: - at `\$(?P<place>.*)`)?")
_SHOWN_CHARACTERS = 120


def _invalid(error: msgspec.ValidationError, fields: dict[str, Any], event_type: type[Event]) -> InvalidEventError:
    problem = _PROBLEM.fullmatch(str(error))
    if not problem:
        return InvalidEventError("invalid_field", str(error))
    place = re.findall(r"\w+", problem["place"] or "")
    if problem["missing"]:
        return InvalidEventError("missing_field", f"{'.'.join([*place, problem['missing']])} is missing")
    found: Any = fields
    for step in place:
        found = found[int(step) if isinstance(found, list) else step]
    rule = problem["rule"]
    if rule.startswith("Invalid enum value"):
        rule = f"Expected one of {', '.join(_allowed(event_type, place[-1]))}"
    return _wrong(".".join(place), rule.replace("`", ""), found)


def _allowed(event_type: type[Event], name: str) -> list[str]:
    rule = schema_of(event_type)["$defs"][event_type.__name__]["properties"][name]
    return [value for option in rule.get("anyOf", [rule]) for value in option.get("enum", []) if value]


def _wrong(name: str, rule: str, found: object) -> InvalidEventError:
    return InvalidEventError("invalid_field", f"{name} is wrong: {rule}; found {_shown(found)}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "too many levels to show"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"
