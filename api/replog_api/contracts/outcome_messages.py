"""The messages of the outcomes topic, for the AsyncAPI document, with examples from :mod:`replog.outcomes`. Pure."""

from __future__ import annotations

import json
from functools import reduce
from typing import TYPE_CHECKING, Any

from cloudevents.core.bindings.kafka import to_binary_event

from replog.entities import Overview
from replog.outcomes import CONTENT_TYPE, TYPES, outcome_event, source_of
from replog.raw_entities import record_from
from replog.records import EMPTY, join
from replog.state import registers_of
from replog.statuses import FAILED, RUNNING, SUCCESS
from replog_api.contracts.schemas import Record
from replog_api.http.languages import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog.events import RecordEvent

#: By status: the name of the message, and its meaning.
_MESSAGES = {
    SUCCESS: ("recordSucceeded", Text("A run ended in SUCCESS.", "执行成功结束。")),
    FAILED: ("recordFailed", Text("A run ended in FAILED.", "执行失败结束。")),
    RUNNING: ("recordReopened", Text("A later attempt of a run that had ended began.", "已结束的执行开始了新的尝试。")),
}
_HEADERS: dict[str, tuple[Text, dict[str, Any]]] = {
    "ce_specversion": (Text("version of CloudEvents", "CloudEvents 版本"), {"const": "1.0"}),
    "ce_id": (
        Text("the same whenever this end or reopening is published", "同一次结束或重新开始的 id 始终相同"),
        {"pattern": "^[0-9a-f]{32}$"},
    ),
    "ce_source": (
        Text("/replog/ and the name of the topic of events", "/replog/ 加事件 topic 名"),
        {"format": "uri-reference"},
    ),
    "ce_type": (Text("kind of the outcome", "结果类型"), {"enum": list(TYPES.values())}),
    "ce_subject": (Text("the record's id", "执行日志 id"), {"minLength": 1, "maxLength": 128}),
    "ce_time": (
        Text("when the record ended or was reopened, in UTC", "结束或重新开始的 UTC 时间"),
        {"format": "date-time"},
    ),
    "ce_sequence": (
        Text("orders the outcomes of one record, compared as text", "同一执行日志的结果按此文本排序"),
        {"pattern": "^[0-9a-f]+$"},
    ),
    "ce_partitionkey": (Text("the task key", "任务 key"), {"minLength": 1, "maxLength": 128}),
    "content-type": (Text("type of the value", "value 的类型"), {"const": CONTENT_TYPE}),
}
_SCHEMA_REFERENCE = "#/components/schemas/{model}"
_OVERVIEW = Overview(success=1, failed=1, running=0, expected=None, skip=0, conflict=0, total_size=10240)


def names() -> list[str]:
    """The names of the messages."""
    return [name for name, _ in _MESSAGES.values()]


def messages(runs: Mapping[str, Sequence[RecordEvent]], *, topic: str, binding: Mapping[str, Any]) -> dict[str, Any]:
    """The messages by name, each with an example: the outcome of the events in ``runs`` for its status."""
    return {
        name: {
            "name": TYPES[status],
            "title": TYPES[status],
            "summary": text.in_both(),
            "contentType": CONTENT_TYPE,
            "headers": _headers(),
            "payload": {"$ref": _SCHEMA_REFERENCE.format(model=Record.__name__)},
            "bindings": {"kafka": {"key": {"type": "string", "description": "taskKey"}, **binding}},
            "examples": [_example(name, runs[status], topic)],
        }
        for status, (name, text) in _MESSAGES.items()
    }


def schemas() -> dict[str, Any]:
    """The schemas of the values."""
    record = Record.model_json_schema(ref_template=_SCHEMA_REFERENCE)
    return {**record.pop("$defs"), Record.__name__: record}


def _headers() -> dict[str, Any]:
    properties = {
        name: {"type": "string", "description": text.in_both(), **rules} for name, (text, rules) in _HEADERS.items()
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _example(name: str, run: Sequence[RecordEvent], topic: str) -> dict[str, Any]:
    registers = reduce(join, map(registers_of, run), EMPTY)
    event = outcome_event(
        run[0].record_id, record_from(registers, _OVERVIEW), registers.outcome, source=source_of(topic)
    )
    message = to_binary_event(event)
    headers = {header: content.decode() for header, content in message.headers.items()}
    return {"name": name, "headers": headers, "payload": json.loads(message.value)}
