"""The AsyncAPI document: the topics of events, dead letters and outcomes, from the structs of the contracts. Pure."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from replog import letters
from replog.errors import InvalidEventError
from replog.events import (
    MAX_FACTS_BYTES,
    MAX_VALUE_BYTES,
    TYPES,
    DetailFinished,
    DetailProgressed,
    DetailStarted,
    Event,
    Progress,
    RecordErased,
    RecordFinished,
    RecordProgressed,
    RecordStarted,
    Tally,
    encode,
    parse,
    schemas,
)
from replog.fields import CONTRACT_VERSION
from replog.settings import CollectorSettings, KafkaSettings
from replog.statuses import FAILED, RUNNING, SUCCESS
from replog.times import parse_time_us
from replog_api.contracts import outcome_messages
from replog_api.http.languages import Text

#: What an operator who sets nothing has.
_USUAL, _COLLECTOR = KafkaSettings.model_construct(), CollectorSettings.model_construct()
_KAFKA = {"bindingVersion": "0.5.0"}
_EVENTS, _LETTERS, _OUTCOMES = "events", "deadLetters", "outcomes"

_TITLE = Text("Events of repository replication", "仓库同步事件")
_TEXT = Text(
    "What replication workers publish and collectors fold into the state that the query API answers from. The state "
    "is a "
    "function of the set of valid events: publishing an event again, or in another order, changes nothing. "
    "docs/events.md "
    "says how events combine.",
    "同步任务发布的事件；collector 将其合并为查询 API 的数据。数据只取决于有效事件的集合："
    "重复发布或改变顺序都不影响结果。"
    "合并规则见 docs/events.md。",
)
_CHANNELS = {
    _EVENTS: Text(
        "The events, unless the operator chose another topic. The key is the recordId, the value one JSON object "
        "in UTF-8 of "
        f"at most {MAX_VALUE_BYTES} bytes, its facts (what describes the record or detail) together at most "
        f"{MAX_FACTS_BYTES} bytes as JSON. Events are invalid that are dated further ahead than the operator allows: "
        f"{_COLLECTOR.max_ahead_s:g} s. Publish with acks=all.",
        "事件 topic（运维人员可另行指定）。消息的 key 为 recordId，value 为一个 JSON 对象，UTF-8 编码，最多 "
        f"{MAX_VALUE_BYTES} "
        f"字节，其中描述性字段的 JSON 合计最多 {MAX_FACTS_BYTES} 字节。eventTime 超前 collector 时钟 "
        f"{_COLLECTOR.max_ahead_s:g} 秒以上（可由运维人员设置）的事件无效。请以 acks=all 发布。",
    ),
    _LETTERS: Text(
        "Events that break this contract, as they came and with the reason; one may come twice.",
        "不符合约定的事件，保持原样并附原因；同一事件可能出现两次。",
    ),
    _OUTCOMES: Text(
        "The end or reopening of each record, as a CloudEvent in binary mode; on a topic that the operator chooses, or "
        "nowhere. One may come twice, with the same ce_id. The value is the record as the query API answers it, in "
        "UTC. docs/outcomes.md has the guarantees.",
        "每条执行日志的结束或重新开始，CloudEvent（binary 模式）；topic 由运维人员指定，未指定则不发布。"
        "可能重复，ce_id 相同。value 为查询 API 返回的执行日志，时间为 UTC。保证见 docs/outcomes.md。",
    ),
}
#: Each type of event: what it says, and an example.
_MESSAGES: dict[str, Text] = {
    "record.started": Text("A run of a task began.", "任务的一次执行已开始。"),
    "record.progressed": Text("A run gives a sign of life.", "执行仍在进行。"),
    "record.finished": Text("A run ended.", "执行已结束。"),
    "record.erased": Text(
        "All that is known of a run and its details up to this time is forgotten; what is later makes it anew. "
        "Operators publish it.",
        "此刻及之前关于该次执行及其详情的一切均被删除；之后的事件重新建立该执行日志。由运维人员发布。",
    ),
    "detail.started": Text("Work on a detail began.", "一项详情已开始同步。"),
    "detail.progressed": Text("A detail got further.", "一项详情有了进展。"),
    "detail.finished": Text("A detail ended.", "一项详情已结束。"),
}
_RECORD, _DETAIL = "609b573d53ccce752bf9b860", "979b573d53efcd752bf9b762"
_TASK = "651095dfe0524ce9b3ab53d13532361c"
_STARTED = RecordStarted(
    record_id=_RECORD,
    task_key=_TASK,
    event_us=parse_time_us("2021-05-12T12:19:08.813Z"),
    task_name="nightly to dev",
    replica_type="SCHEDULED",
    replica_object_type="REPOSITORY",
    expected_details=2,
)
_FINISHED = RecordFinished(
    record_id=_RECORD,
    task_key=_TASK,
    event_us=parse_time_us("2021-05-12T12:19:37.967Z"),
    status="FAILED",
    error_reason="1 of 2 details failed",
    replicated_bytes=10240,
    total_bytes=12288,
)
EXAMPLES: tuple[Event, ...] = (
    _STARTED,
    RecordProgressed(
        record_id=_RECORD,
        task_key=_TASK,
        event_us=parse_time_us("2021-05-12T12:19:25Z"),
        replicated_bytes=4096,
        total_bytes=12288,
    ),
    _FINISHED,
    RecordErased(record_id=_RECORD, event_us=parse_time_us("2021-06-01T08:00:00Z")),
    DetailStarted(
        record_id=_RECORD,
        detail_id=_DETAIL,
        event_us=parse_time_us("2021-05-12T12:19:08.900Z"),
        local_cluster="center",
        remote_cluster="dev",
        repo_name="npm-local",
        repo_type="NPM",
        package_key="npm://helloworld",
        versions=["1.1.0"],
    ),
    DetailProgressed(
        record_id=_RECORD,
        detail_id=_DETAIL,
        event_us=parse_time_us("2021-05-12T12:19:20.001Z"),
        progress=Progress(blob=Tally(total=10, success=4), total_size=4096),
    ),
    DetailFinished(
        record_id=_RECORD,
        detail_id=_DETAIL,
        event_us=parse_time_us("2021-05-12T12:19:37.500Z"),
        status="SUCCESS",
        progress=Progress(blob=Tally(total=10, success=10), total_size=10240),
    ),
)
_AGAIN = replace(_STARTED, attempt=1, event_us=parse_time_us("2021-05-12T12:25:00.102Z"))
#: By status, events of a record that then has it.
_RUNS: dict[str, list[RecordStarted | RecordFinished]] = {
    SUCCESS: [_STARTED, replace(_FINISHED, status=SUCCESS, error_reason=None)],
    FAILED: [_STARTED, _FINISHED],
    RUNNING: [_STARTED, _FINISHED, _AGAIN],
}
_INVALID = b'{"type":"record.paused","recordId":"609b573d53ccce752bf9b860"}'

_LETTER_HEADERS: dict[str, tuple[Text, dict[str, Any]]] = {
    letters.REASON: (
        Text("the kind of error, a fixed word (docs/events.md)", "错误类别，固定的词（docs/events.md）"),
        {"pattern": "^[a-z_]+$"},
    ),
    letters.ERROR: (
        Text(
            "what is wrong: the field, the rule, and what was found (shortened)", "错误：字段、规则及实际内容（截短）"
        ),
        {"type": "string"},
    ),
    letters.TOPIC: (Text("the topic that the event came from", "事件所在的 topic"), {"type": "string"}),
    letters.PARTITION: (Text("its partition, as decimal digits", "其 partition，十进制数字"), {"pattern": "^[0-9]+$"}),
    letters.OFFSET: (Text("its offset, as decimal digits", "其 offset，十进制数字"), {"pattern": "^[0-9]+$"}),
    letters.DEAD_AT: (
        Text(
            "when it became a dead letter, by the collector's clock", "成为 dead letter 的时间，以 collector 的时钟为准"
        ),
        {"format": "date-time"},
    ),
    letters.VERSION: (Text("the version of the collector", "collector 的版本"), {"type": "string"}),
    letters.REPLAYS: (
        Text(
            "only if the event was published again from a dead letter: how often, as decimal digits",
            "仅当事件曾从 dead letter 重新发布时出现：次数，十进制数字",
        ),
        {"pattern": "^[0-9]+$"},
    ),
    letters.VALUE_BYTES: (
        Text(
            "only where the topic does not take a message of this size, and the value was cut: how many bytes it had; "
            f"at most the first {letters.KEPT_BYTES} are kept",
            f"仅当 topic 不接受如此大的消息而截断 value 时出现：原字节数；最多保留前 {letters.KEPT_BYTES} 字节",
        ),
        {"pattern": "^[0-9]+$"},
    ),
    letters.CUT: (
        Text(
            "only where the topic does not take a message of this size: what of it was cut (value, key, headers), as "
            "JSON, each with its bytes and how many of them are kept",
            "仅当 topic 不接受如此大的消息时出现：被截断的部分（value、key、headers），JSON，含原字节数与保留数",
        ),
        {"contentMediaType": "application/json"},
    ),
}
#: Those that not every letter has.
_OPTIONAL_HEADERS = {letters.REPLAYS, letters.VALUE_BYTES, letters.CUT}


def document() -> dict[str, Any]:
    """The document of the topics under their usual names."""
    events = {_name(event): _reference("messages", _name(event)) for event in TYPES}
    outcomes = {name: _reference("messages", name) for name in outcome_messages.names()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "replog",
            "version": str(CONTRACT_VERSION),
            "description": _paragraphs(_TITLE, _TEXT),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": _USUAL.kafka_bootstrap_servers, "protocol": "kafka"}},
        "channels": {
            _EVENTS: _channel(_USUAL.kafka_topic, _CHANNELS[_EVENTS], events),
            _LETTERS: _channel(
                _USUAL.dead_letter_topic, _CHANNELS[_LETTERS], {"deadLetter": _reference("messages", "deadLetter")}
            ),
            _OUTCOMES: _channel(None, _CHANNELS[_OUTCOMES], outcomes),
        },
        "operations": {
            "receiveEvents": _operation("receive", _EVENTS, events),
            "sendDeadLetters": _operation("send", _LETTERS, {"deadLetter": None}),
            "sendOutcomes": _operation("send", _OUTCOMES, outcomes),
        },
        "components": {
            "messages": {
                **{_name(event.type): _message(event) for event in EXAMPLES},
                "deadLetter": _dead_letter(),
                **outcome_messages.messages(_RUNS, topic=_USUAL.kafka_topic, binding=_KAFKA),
            },
            "schemas": {**schemas("#/components/schemas/{name}"), **outcome_messages.schemas()},
        },
    }


def _channel(address: str | None, text: Text, messages: dict[str, Any]) -> dict[str, Any]:
    """A channel; ``address`` is None where it has no usual name."""
    topic = {} if address is None else {"topic": address}
    return {
        "address": address,
        "description": text.in_both(),
        "messages": messages,
        "bindings": {"kafka": {**topic, **_KAFKA}},
    }


def _operation(action: str, channel: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": _CHANNELS[channel].in_both(),
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _message(event: Event) -> dict[str, Any]:
    return {
        "name": event.type,
        "title": event.type,
        "summary": _MESSAGES[event.type].in_both(),
        "contentType": "application/json",
        "payload": _reference("schemas", TYPES[event.type].__name__),
        "bindings": {"kafka": {"key": {"type": "string", "description": "recordId"}, **_KAFKA}},
        "examples": [{"name": _name(event.type), "payload": json.loads(encode(event))}],
    }


def _dead_letter() -> dict[str, Any]:
    headers = {
        name: {"type": "string", "description": text.in_both(), **rules}
        for name, (text, rules) in _LETTER_HEADERS.items()
    }
    return {
        "name": "deadLetter",
        "title": "dead letter",
        "summary": _CHANNELS[_LETTERS].in_both(),
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "description": Text(
                "those that the event had, and behind them these", "事件原有的 header，其后附加以下 header"
            ).in_both(),
            "required": [name for name in headers if name not in _OPTIONAL_HEADERS],
            "properties": headers,
        },
        "payload": {"type": "string", "description": Text("the value, as it came", "原样的 value").in_both()},
        "bindings": {"kafka": {"key": {"type": ["string", "null"], "description": "as it came"}, **_KAFKA}},
        "examples": [{"name": "unknownType", "headers": _example_headers(), "payload": _INVALID.decode()}],
    }


def _example_headers() -> dict[str, str]:
    try:
        parse(_INVALID)
    except InvalidEventError as error:
        return {
            letters.REASON: error.reason,
            letters.ERROR: str(error),
            letters.TOPIC: _USUAL.kafka_topic,
            letters.PARTITION: "3",
            letters.OFFSET: "1042",
            letters.DEAD_AT: "2021-05-12T12:19:21.000000Z",
            letters.VERSION: "1.0.0",
        }
    raise AssertionError(_INVALID)


def _name(event_type: str) -> str:
    kind, phase = event_type.split(".")
    return f"{kind}{phase.capitalize()}"


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _paragraphs(*texts: Text) -> str:
    return "\n\n".join([*(text.english for text in texts), *(text.chinese for text in texts)])
