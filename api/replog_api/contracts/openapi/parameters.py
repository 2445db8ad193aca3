"""What the document says of parameters: those in paths, in queries and in headers. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from replog_api.contracts.openapi.examples import ETAG, LAST_EVENT, RECORD_ID, TASK_KEY, TRACEPARENT
from replog_api.http.languages import Text
from replog_api.http.parameters import (
    DEFAULT_REASONS,
    DEFAULT_RUNS,
    DEFAULT_SILENT_S,
    FORMATS,
    GROUPINGS,
    MAX_ID_LENGTH,
    MAX_KEYS,
    MAX_PAGE_NUMBER,
    MAX_PAGE_SIZE,
    MAX_REASONS,
    MAX_RUNS,
    MAX_SILENT_S,
    MAX_WAIT_S,
)
from replog_api.http.request_context import TIME_ZONE_HEADER

_ID = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"}
_TEXT = {"type": "string"}


class Parameter(NamedTuple):
    """One parameter; ``examples`` are values by their names."""

    name: str
    place: str
    text: Text
    schema: dict[str, Any]
    examples: dict[str, Any]
    required: bool = False
    #: What the document knows it by, where another parameter has the same name.
    alias: str = ""

    @property
    def key(self) -> str:
        """Its name among the components."""
        return self.alias or self.name

    def described(self) -> dict[str, Any]:
        """As a Parameter Object."""
        return {
            "name": self.name,
            "in": self.place,
            "required": self.required,
            "description": self.text.in_both(),
            "schema": self.schema,
            "examples": {name: {"value": value} for name, value in self.examples.items()},
        }


def _path(name: str, text: Text, examples: dict[str, Any], alias: str = "") -> Parameter:
    return Parameter(name, "path", text, _ID, examples, required=True, alias=alias)


def _prefix(name: str, english: str, chinese: str, example: str) -> Parameter:
    text = Text(
        f"{english}: a literal, case-sensitive prefix; empty: any",
        f"{chinese}：前缀匹配，按字面、区分大小写；为空则不限",
    )
    return Parameter(name, "query", text, _TEXT, {"prefix": example})


def _exact(name: str, english: str, chinese: str, example: str) -> Parameter:
    text = Text(f"exactly this {english}; empty: any", f"{chinese}，精确匹配；为空则不限")
    return Parameter(name, "query", text, _TEXT, {"exact" if example else "any": example})


def _one_of(name: str, words: tuple[str, ...], english: str, chinese: str) -> Parameter:
    text = Text(f"{english}; {words[0]} where absent or empty", f"{chinese}；缺省或为空则为 {words[0]}")
    schema = {"type": "string", "enum": ["", *words], "default": words[0]}
    return Parameter(name, "query", text, schema, {word: word for word in words})


def _number(name: str, english: str, chinese: str, bounds: tuple[int, int, int]) -> Parameter:
    """An integer between the first two of ``bounds``; the third where it is absent."""
    least, most, default = bounds
    text = Text(f"{english}; empty: {default}", f"{chinese}；为空则为 {default}")
    schema = {"type": "integer", "minimum": least, "maximum": most, "default": default}
    return Parameter(name, "query", text, schema, {"default": default, "least": least})


def _header(name: str, text: Text, examples: dict[str, Any], schema: dict[str, Any] | None = None) -> Parameter:
    return Parameter(name, "header", text, schema or _TEXT, examples)


KEY = _path("key", Text("task key", "任务唯一key"), {"documented": TASK_KEY})
KEYS = Parameter(
    "key",
    "query",
    Text("task key, given once for each task", "任务唯一key，每个任务给出一次"),
    {"type": "array", "items": _ID, "minItems": 1, "maxItems": MAX_KEYS},
    {"documented": [TASK_KEY]},
    required=True,
    alias="keys",
)
RUN_KEYS = KEYS._replace(
    text=Text(
        f"task key, given once for each task; times last at most {MAX_RUNS:,}",
        f"任务唯一key，每个任务给出一次；个数与 last 之积不超过 {MAX_RUNS:,}",
    ),
    schema={**KEYS.schema, "maxItems": MAX_RUNS},
    alias="runKeys",
)
LAST = _number(
    "last", "runs of each task at most, the newest", "每个任务至多返回的最近执行次数", (1, MAX_RUNS, DEFAULT_RUNS)
)
RECORD = _path("recordId", Text("record id", "任务执行日志唯一id"), {"documented": RECORD_ID})
RECORD_OR_KEY = _path(
    "recordId",
    Text(
        "record id; where no such record is known, a task key",
        "任务执行日志唯一id；若没有此执行日志，则为任务唯一key",
    ),
    {"documented": RECORD_ID, "documentedOfATask": TASK_KEY},
    alias="recordIdOrKey",
)
PAGE = (
    Parameter(
        "pageNumber",
        "query",
        Text("page number, from 1; 0 means 1 and is answered as 1", "当前页，从 1 开始；0 等同于 1，并按 1 返回"),
        {"type": "integer", "minimum": 0, "maximum": MAX_PAGE_NUMBER},
        {"first": 1, "documented": 0},
        required=True,
    ),
    Parameter(
        "pageSize",
        "query",
        Text("page size: rows a page", "分页数量：每页行数"),
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE},
        {"documented": 1, "many": 20},
        required=True,
    ),
)
WAIT = Parameter(
    "wait",
    "query",
    Text(
        "with If-None-Match: seconds to wait for another answer before 304 is said; empty: 0",
        "与 If-None-Match 一起使用：在返回 304 之前等待新响应的秒数；为空则为 0",
    ),
    {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_S, "default": 0},
    {"not": 0, "long": 30},
)
STATUS = Parameter(
    "status",
    "query",
    Text("exactly this status; empty: any", "状态，精确匹配；为空则不限"),
    {"type": "string", "enum": ["", "RUNNING", "SUCCESS", "FAILED"]},
    {"any": "", "finished": "SUCCESS"},
)
LATEST_STATUS = STATUS._replace(
    text=Text("exactly this status of the latest record; empty: any", "最新执行日志的状态，精确匹配；为空则不限"),
    alias="latestStatus",
)
KEY_PREFIX = _prefix("prefix", "task key", "任务唯一key", "6510")
FILTERS = (
    STATUS,
    _prefix(
        "packageName",
        "package name; a value with :// is compared with the package's key",
        "包名称；值中含 :// 时与包的 key 比较",
        "npm://hello",
    ),
    _prefix("repoName", "repository name", "仓库名称", "npm-"),
    _prefix("clusterName", "cluster node name, of the remote cluster", "远程节点名称", "de"),
    _prefix("path", "path", "路径", "/tools/"),
    _prefix("artifactName", "artifact name", "制品名称", "setup"),
    _exact("version", "version", "版本", ""),
    _exact("remoteCluster", "remote cluster", "远程节点", "dev"),
    _exact("localRepoName", "repository name", "仓库名称", "npm-local"),
)
GROUPING = _one_of("by", GROUPINGS, "what details are counted by", "按何者统计详情数")
OF_CLUSTER = FILTERS[-2]._replace(
    text=Text(
        "count the details of exactly this remote cluster alone; empty: of all",
        "仅统计该远程节点的详情，精确匹配；为空则不限",
    ),
    alias="ofRemoteCluster",
)
REASONS = _number(
    "limit", "reasons at most, the most frequent", "至多返回的原因数，最常见的在前", (1, MAX_REASONS, DEFAULT_REASONS)
)
SILENT_FOR = _number(
    "silentForS",
    "seconds for longer than which there was no event",
    "没有事件的时长超过多少秒",
    (1, MAX_SILENT_S, DEFAULT_SILENT_S),
)
FORMAT = _one_of("format", FORMATS, "what the export comes as", "导出格式")
TIME_ZONE = _header(
    TIME_ZONE_HEADER,
    Text(
        "zone of the times in the answer: an IANA name; an offset up to 18 hours, with or without sign, in hours, "
        "decimal hours or hours and minutes; Z; UTC, UT or GMT, alone or with an offset. Absent, empty or anything "
        "else: the service's own",
        "响应中时间的时区：IANA 时区名；不超过 18 小时的偏移量（符号可省略），以小时、小数小时或时分表示；Z；"
        "UTC、UT 或 GMT，可带偏移量。缺省、为空或无法识别时使用服务的时区",
    ),
    {"name": "Asia/Shanghai", "offset": "+08:00", "hours": "8", "decimal": "5.5"},
)
LANGUAGE = _header(
    "Accept-Language",
    Text(
        "language of messages: English, or Chinese where zh is preferred to en",
        "错误说明的语言：英文；优先 zh 时为中文",
    ),
    {"chinese": "zh-CN,zh;q=0.9,en;q=0.8", "english": "en"},
)
IF_NONE_MATCH = _header(
    "If-None-Match",
    Text(
        "tags of answers that the client has: where one is still good, the answer is 304 without a body; * is any",
        "客户端已有响应的 ETag：若其中之一仍然有效，则返回 304 且无响应体；* 表示任意",
    ),
    {"tag": ETAG, "several": f'{ETAG}, W/"0-"', "any": "*"},
)
TRACE = _header(
    "traceparent",
    Text(
        "W3C trace context; its trace id becomes the answer's traceId. One that is malformed is as none",
        "W3C trace context；其 trace id 即响应的 traceId。格式错误时视为没有",
    ),
    {"sampled": TRACEPARENT},
)
LAST_EVENT_ID = _header(
    "Last-Event-ID",
    Text(
        "the id of the last event that the client has: what it says already is not said again",
        "客户端已收到的最后一个事件的 id：其内容不再重复发送",
    ),
    {"event": LAST_EVENT},
)
#: What a stream takes, and what every query does.
OF_A_STREAM = (TIME_ZONE, LANGUAGE, LAST_EVENT_ID, TRACE)
HEADERS = (TIME_ZONE, LANGUAGE, IF_NONE_MATCH, TRACE)
