"""What docs/events.md calls a valid event, field by field and by brute force; knows nothing of the project."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.strategies import Event

    Rule = Callable[[Any], bool]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:)(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def time_us(text: str) -> int | None:
    """Microseconds since the epoch; None where ``text`` is no time of the contract."""
    if not (match := TIME.fullmatch(text)):
        return None
    minute, second, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat((minute + second.replace("60", "59") + offset).upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return (moment - EPOCH) // timedelta(microseconds=1) + int((fraction or ".").ljust(7, "0")[1:7])


def text(least: int, most: int) -> Rule:
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def an_id(value: Any) -> bool:
    controls = {*range(0x20), *range(0x7F, 0xA0)}
    return text(1, 128)(value) and controls.isdisjoint(map(ord, value))


def number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 2**63 and value == int(value)


def any_of(*words: str) -> Rule:
    return lambda value: isinstance(value, str) and value in words


def nullable(rule: Rule) -> Rule:
    return lambda value: value is None or rule(value)


def count(value: Any) -> bool:
    return isinstance(value, dict) and all(
        number(value.get(name, 0)) for name in ("total", "success", "skip", "failed")
    )


def progress(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and number(value.get("totalSize", 0))
        and all(nullable(count)(value.get(kind)) for kind in ("blob", "node", "version"))
    )


EVERY: dict[str, Rule] = {
    "recordId": an_id,
    "eventTime": lambda value: isinstance(value, str) and time_us(value) is not None,
}
EVERY_OPTIONAL: dict[str, Rule] = {"attempt": number, "eventId": nullable(lambda value: isinstance(value, str))}
OF_RECORD = EVERY | {"taskKey": an_id}
OF_DETAIL = EVERY | {"detailId": text(1, 128)}
BYTES = {"replicatedBytes": nullable(number), "totalBytes": nullable(number)}
STATUS = {"status": any_of("SUCCESS", "FAILED")}
REASON = {"errorReason": nullable(lambda value: isinstance(value, str))}
SHORT = (
    "localCluster remoteCluster repoName repoType packageName packageKey version artifactName sha256 conflictStrategy"
)
FACTS: dict[str, Rule] = {
    **dict.fromkeys(SHORT.split(), nullable(text(0, 1024))),
    "taskKey": nullable(an_id),
    "versions": nullable(
        lambda value: isinstance(value, list) and len(value) <= 1000 and all(map(text(0, 1024), value))
    ),
    "path": nullable(text(0, 4096)),
    "size": nullable(number),
}
STARTED = {
    "taskName": nullable(text(0, 1024)),
    "replicaType": nullable(any_of("SCHEDULED", "REAL_TIME", "RUN_ONCE", "EDGE_PULL", "FEDERATION")),
    "replicaObjectType": nullable(any_of("REPOSITORY", "PACKAGE", "PATH")),
    "expectedDetails": nullable(number),
}
#: Of each type of event, the rules of what is required and of what is not.
RULES: dict[str, tuple[dict[str, Rule], dict[str, Rule]]] = {
    "record.started": (OF_RECORD, STARTED),
    "record.progressed": (OF_RECORD, BYTES),
    "record.finished": (OF_RECORD | STATUS, REASON | BYTES),
    "record.erased": (EVERY, {"taskKey": nullable(an_id)}),
    "detail.started": (OF_DETAIL, FACTS),
    "detail.progressed": (OF_DETAIL | {"progress": progress}, FACTS),
    "detail.finished": (OF_DETAIL | STATUS, FACTS | REASON | {"progress": nullable(progress)}),
}


def problems(event: Event) -> set[tuple[str, str]]:
    """What is wrong with a JSON object, as reasons and fields; empty where it is a valid event."""
    if "type" not in event:
        return {("missing_field", "type")}
    if not isinstance(event["type"], str) or event["type"] not in RULES:
        return {("unknown_type", "type")}
    required, optional = RULES[event["type"]]
    optional = optional | EVERY_OPTIONAL
    missing = {("missing_field", name) for name in required.keys() - event.keys()}
    rules = [(name, rule) for name, rule in (required | optional).items() if name in event]
    wrong = missing | {("invalid_field", name) for name, rule in rules if not rule(event[name])}
    return wrong or ({("too_large", "facts")} if facts_bytes(event) > 64 * 1024 else set())


def facts_bytes(event: Event) -> int:
    """How long the facts of a valid event are as JSON."""
    of_record = event["type"].startswith("record.")
    names = STARTED.keys() | {"taskKey"} if of_record else FACTS.keys() - {"taskKey"}
    required, optional = RULES[event["type"]]
    facts = {name: event[name] for name in names & {*required, *optional} if event.get(name) is not None}
    return len(json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode())


def content(event: Event) -> Event:
    """What a valid event says: what is absent, null, 0 by default or unknown left out, the time in microseconds."""
    required, optional = RULES[event["type"]]
    known = {name: event[name] for name in required | optional | EVERY_OPTIONAL if event.get(name) is not None}
    known |= {"type": event["type"], "eventTime": time_us(event["eventTime"])}
    known = {name: int(value) if isinstance(value, float) else value for name, value in known.items()}
    if len(known.get("errorReason", "")) > 8192:
        known["errorReason"] = known["errorReason"][:8191] + "…"
    if not known.get("attempt"):
        known.pop("attempt", None)
    if "progress" in known:
        known["progress"] = _counted(known["progress"])
    return known


def _counted(given: Event) -> Event:
    kinds = {kind: given[kind] for kind in ("blob", "node", "version") if given.get(kind) is not None}
    counts = {
        kind: {name: tally[name] for name in ("total", "success", "skip", "failed") if tally.get(name)}
        for kind, tally in kinds.items()
    }
    return counts | ({"totalSize": given["totalSize"]} if given.get("totalSize") else {})
