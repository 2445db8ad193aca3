"""The API's bodies as models: for OpenAPI, and for tests to check against. Answers are not built from them.

Fields of records and details are described by the table in :mod:`replog.fields` that the model names as ``rows``; what
else a body has is described here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic import Field as ModelField
from pydantic.alias_generators import to_camel

from replog.events import MAX_INTEGER, ReplicaObjectType, ReplicaType
from replog.fields import DETAIL, OVERVIEW, PACKAGE, PATH, PROGRESS, RECORD, RUN, TALLY, Field
from replog.statuses import StatusName  # noqa: TC001 - pydantic reads the annotations
from replog_api.http.languages import Text

T = TypeVar("T")

#: ``yyyy-MM-ddTHH:mm:ss.SSS``, no offset.
LocalTime = Annotated[
    datetime,
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$"}),
]
Id = Annotated[str, ModelField(min_length=1, max_length=128)]
#: At most 2^63-1, which FastAPI cannot say as a bound: it makes floats of bounds.
Count = Annotated[
    int, ModelField(ge=0, le=MAX_INTEGER), WithJsonSchema({"type": "integer", "format": "int64", "minimum": 0})
]
#: Sums may exceed 64 bits.
Sum = Annotated[int, ModelField(ge=0)]
TraceId = Annotated[str, ModelField(pattern="^[0-9a-f]{32}$")]


def _said(english: str, chinese: str) -> Any:
    return ModelField(description=Text(english, chinese).in_both())


def _describe(schema: dict[str, Any], model: type[_Schema]) -> None:
    schema["description"] = Text(schema["description"], model.chinese).in_both()
    for row in model.rows:
        if row.key:
            schema["properties"][row.key]["description"] = Text(*row.in_answers).in_both()


class _Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", json_schema_extra=_describe)
    #: The docstring in Chinese.
    chinese: ClassVar[str]
    #: The rows of the field table that describe the model's fields.
    rows: ClassVar[tuple[Field, ...]] = ()


class Envelope(_Schema, Generic[T]):
    """The envelope of every answer."""

    chinese = "所有响应的统一外层结构。"

    code: int = _said("0, or the code of an error", "0，或错误码")
    message: str | None = _said("null, or what is wrong", "null，或错误说明")
    data: T = _said("the answer; null in an error", "响应数据；出错时为 null")
    trace_id: TraceId = _said("the W3C trace id of the request", "请求的 W3C trace id")


class Answer(Envelope[T], Generic[T]):
    """A good answer."""

    chinese = "成功的响应。"

    code: Literal[0] = _said("0: all is well", "0：成功")
    message: None = _said("always null", "始终为 null")


class Refusal(Envelope[None]):
    """An error."""

    chinese = "错误响应。"

    code: int = _said("which error it is; docs/api.md has the table", "错误码，见 docs/api.md 中的错误表")
    message: str = _said(
        "for people: what is wrong with which parameter, in the language that Accept-Language prefers",
        "供人阅读：哪个参数有何错误，语言由 Accept-Language 决定",
    )
    data: None = _said("always null", "始终为 null")


class Page(_Schema, Generic[T]):
    """One page of rows."""

    chinese = "一页数据。"

    page_number: int = ModelField(ge=1, description=Text("page number, from 1", "当前页，从 1 开始").in_both())
    page_size: int = ModelField(
        ge=1, le=1000, description=Text("page size, as asked", "分页数量，与请求一致").in_both()
    )
    total_records: Sum = _said("rows on all pages; exact", "总行数；精确值")
    total_pages: Sum = _said("pages; 0 where there are no rows", "总页数；没有数据时为 0")
    records: list[T] = _said("the rows of this page, newest first", "本页的行，最新的在前")


class Overview(_Schema):
    """A record's roll-up over its details."""

    chinese = "一条执行日志的详情汇总。"
    rows = OVERVIEW

    success: Sum
    failed: Sum
    running: Sum
    total: Sum
    expected: Count | None
    skip: Sum
    conflict: Sum
    total_size: Sum


class Record(_Schema):
    """One run of a task."""

    chinese = "任务的一次执行（执行日志）。"
    rows = RECORD

    id: Id
    task_key: Id
    status: StatusName
    start_time: LocalTime
    end_time: LocalTime | None
    error_reason: str | None
    replicated_bytes: Count | None
    total_bytes: Count | None
    replica_overview: Overview
    last_event_time: LocalTime
    stale: bool


class TaskRun(_Schema):
    """A run of a task in short."""

    chinese = "任务一次执行的摘要。"
    rows = tuple(row for row in RECORD if row.key in {"id", "status", "startTime", "endTime"})

    id: Id
    status: StatusName
    start_time: LocalTime
    end_time: LocalTime | None


class TaskRuns(_Schema):
    """The newest runs of a task."""

    chinese = "任务最近的若干次执行。"

    task_key: Id = _said("task key", "任务唯一key")
    total_records: Sum = _said("all records of the task; 0 where it is unknown", "任务的执行日志总数；任务未知则为 0")
    runs: list[TaskRun] = _said("the newest of them, newest first", "其中最新的若干条，最新的在前")


class SilentRecord(_Schema):
    """A RUNNING record of which nothing was heard for some time."""

    chinese = "长时间没有任何事件的 RUNNING 执行日志。"

    record: Record = _said("the record", "执行日志")
    last_activity_time: LocalTime = _said(
        "the newest event of the record or of one of its details", "该日志或其任一详情最新事件的时间"
    )


class SilentPage(Page[SilentRecord]):
    """A page of silent records."""

    chinese = "一页长时间没有事件的执行日志。"

    records: list[SilentRecord] = _said("the rows of this page, longest silent first", "本页的行，沉默最久的在前")


class RecordPage(Page[Record]):
    """A page of records."""

    chinese = "一页执行日志。"


class Task(_Schema):
    """A task with its latest record."""

    chinese = "任务及其最新的执行日志。"

    task_key: Id = _said("the task; the record may name another", "任务唯一key；执行日志中的可能不同")
    record: Record | None = _said("its latest record; null where none is known", "最新的执行日志；没有则为 null")


class TaskPage(Page[Task]):
    """A page of tasks."""

    chinese = "一页任务。"


class Run(_Schema):
    """A record with what its task replicates."""

    chinese = "一条执行日志及其任务的类型。"
    rows = RUN

    replica_object_type: ReplicaObjectType
    replica_type: ReplicaType
    record: Record


class Watched(Run):
    """The data of a stream's events."""

    chinese = "事件流中各事件的数据。"

    overview: Overview = _said("the record's roll-up, as in it", "详情汇总，与执行日志中的相同")
    reason: Annotated[
        Literal["finished", "removed"] | None, WithJsonSchema({"type": "string", "enum": ["finished", "removed"]})
    ] = ModelField(
        default_factory=lambda: None,  # not in the schema: it is never null, but absent
        description=Text("in the last event alone: why it ended", "仅见于最后一个事件：结束的原因").in_both(),
    )


class PackageConstraint(_Schema):
    """The package that a detail copies."""

    chinese = "详情所同步的包。"
    rows = PACKAGE

    package_key: str
    versions: list[str] | None


class PathConstraint(_Schema):
    """The path that a detail copies."""

    chinese = "详情所同步的路径。"
    rows = PATH

    path: str


class Tally(_Schema):
    """Numbers of one kind of thing that were handled."""

    chinese = "一类对象的数量。"
    rows = TALLY

    total: Count
    success: Count
    skip: Count
    failed: Count


class Progress(_Schema):
    """Progress of a detail."""

    chinese = "同步进度。"
    rows = PROGRESS

    blob: Tally | None
    node: Tally | None
    version: Tally | None
    total_size: Count
    success: Count
    skip: Count
    failed: Count


class Detail(_Schema):
    """One thing copied to one cluster."""

    chinese = "同步到一个集群的一项内容（执行日志详情）。"
    rows = DETAIL

    id: Id
    record_id: Id
    local_cluster: str
    remote_cluster: str
    local_repo_name: str
    repo_type: str
    package_constraint: PackageConstraint | None
    path_constraint: PathConstraint | None
    artifact_name: str | None
    version: str | None
    conflict_strategy: str | None
    size: Count | None
    sha256: str | None
    status: StatusName
    progress: Progress
    start_time: LocalTime
    end_time: LocalTime | None
    error_reason: str | None
    last_event_time: LocalTime
    stale: bool


class DetailCounts(_Schema):
    """Numbers of details by status, of one cluster, one repository or one pair of both."""

    chinese = "某一集群、某一仓库或两者组合的各状态详情数。"

    remote_cluster: str | None = _said(
        "the remote cluster, empty where details name none; null where they are not counted by it",
        "远程集群名称，详情未提供时为空；未按集群统计时为 null",
    )
    local_repo_name: str | None = _said("the repository, likewise", "仓库名称，详情未提供时为空；未按仓库统计时为 null")
    success: Sum = _said("details with status SUCCESS", "状态为 SUCCESS 的详情数")
    failed: Sum = _said("details with status FAILED", "状态为 FAILED 的详情数")
    running: Sum = _said("details with status RUNNING", "状态为 RUNNING 的详情数")
    total: Sum = _said("the sum of these three", "以上三项之和")


class FailureReason(_Schema):
    """Details that failed for the same reason, but for numbers and hashes in it."""

    chinese = "失败原因相同的详情；其中的数字和哈希不计。"

    error_reason: str | None = _said(
        "the reason, with <n> for each number and hash; null where no worker said why",
        "错误原因，其中的数字和哈希写作 <n>；未上报则为 null",
    )
    failed: Count = _said("so many of the details that were examined", "所检查的详情中因此失败的数量")
    remote_clusters: list[str] = _said(
        "the remote clusters of these details, by code point; an empty name where a detail names none",
        "这些详情的远程集群，按码位顺序；详情未提供时为空名称",
    )
    detail_id: Id = _said("the newest of these details", "其中最新的详情")


class FailureReasons(_Schema):
    """Reasons for which details of a record failed."""

    chinese = "一条执行日志中详情失败的原因。"

    failed: Sum = _said("details with status FAILED", "状态为 FAILED 的详情数")
    examined: Count = _said("the newest so many of them were examined", "其中最新的若干条被检查")
    reasons: list[FailureReason] = _said("most failed first", "失败多的在前")


class SilentDetails(_Schema):
    """The details that a record waits for."""

    chinese = "一条执行日志在等待什么。"

    last_activity_time: LocalTime | None = _said(
        "the newest event of the record or any of its details; null where the record is unknown",
        "该执行日志及其详情最近一次事件的时间；执行日志未知时为 null",
    )
    expected: Sum | None = _said(
        "details that the run will have, as its worker says; null where it does not",
        "worker 预告的详情总数；未预告则为 null",
    )
    missing: Sum | None = _said(
        "those of them of which no event has come; null where expected is",
        "其中尚无任何事件的详情数；expected 为 null 时为 null",
    )
    running: Sum = _said("details with status RUNNING", "状态为 RUNNING 的详情数")
    examined: Count = _said("the newest so many of them were examined", "其中最新的若干条被检查")
    details: list[Detail] = _said(
        "the RUNNING details among those, longest silent first, then by id",
        "所检查的 RUNNING 详情，最久没有事件的在前，其次按 id",
    )


class ExportEnd(_Schema):
    """The last line of an export as NDJSON."""

    chinese = "NDJSON 导出的最后一行。"

    details: Sum = ModelField(
        alias="rows",
        description=Text(
            "details before this line; without it, the export was cut off", "此行之前的详情数；缺少此行表示导出被中断"
        ).in_both(),
    )


class DetailPage(Page[Detail]):
    """A page of details."""

    chinese = "一页执行日志详情。"
