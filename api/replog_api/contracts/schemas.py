"""The API's bodies as models: for OpenAPI, and for tests to check against. Answers are not built from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from replog.events import MAX_INTEGER, ReplicaObjectType, ReplicaType
from replog_api.http.languages import Text

T = TypeVar("T")

#: ``yyyy-MM-ddTHH:mm:ss.SSS``, no offset.
LocalTime = Annotated[
    datetime,
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$"}),
]
Status = Literal["RUNNING", "SUCCESS", "FAILED"]
Id = Annotated[str, Field(min_length=1, max_length=128)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
#: Sums may exceed 64 bits.
Sum = Annotated[int, Field(ge=0)]
TraceId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


def _said(english: str, chinese: str) -> Any:
    return Field(description=Text(english, chinese).in_both())


def _describe_in_both(schema: dict[str, Any], model: type[_Schema]) -> None:
    schema["description"] = Text(schema["description"], model.chinese).in_both()


class _Schema(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", json_schema_extra=_describe_in_both)
    #: The docstring in Chinese.
    chinese: ClassVar[str]


class Envelope(_Schema, Generic[T]):
    """What every answer comes in."""

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

    page_number: int = Field(ge=1, description=Text("page number, from 1", "当前页，从 1 开始").in_both())
    page_size: int = Field(ge=1, le=1000, description=Text("page size, as asked", "分页数量，与请求一致").in_both())
    total_records: Sum = _said("rows on all pages; exact", "总行数；精确值")
    total_pages: Sum = _said("pages; 0 where there are no rows", "总页数；没有数据时为 0")
    records: list[T] = _said("the rows of this page, newest first", "本页的行，最新的在前")


class Overview(_Schema):
    """A record's roll-up over its details."""

    chinese = "一条执行日志的详情汇总。"

    success: Sum = _said("details with status SUCCESS", "状态为 SUCCESS 的详情数")
    failed: Sum = _said("details with status FAILED", "状态为 FAILED 的详情数")
    running: Sum = _said("details with status RUNNING", "状态为 RUNNING 的详情数")
    total: Sum = _said("details seen so far: the sum of these three", "目前已知的详情数：以上三项之和")
    expected: Count | None = _said("how many there will be, where the worker said", "预计的详情数；未知则为 null")
    skip: Sum = _said("sum of progress.skip of the details", "各详情 progress.skip 之和")
    conflict: Sum = _said("details with a conflictStrategy", "带有 conflictStrategy 的详情数")
    total_size: Sum = _said(
        "sum of progress.totalSize of the details, in bytes; may exceed 2^63-1",
        "各详情 progress.totalSize 之和，单位 bytes；可能超过 2^63-1",
    )


class Record(_Schema):
    """One run of a task."""

    chinese = "任务的一次执行（执行日志）。"

    id: Id = _said("record id", "执行日志唯一id")
    task_key: Id = _said("task key", "任务唯一key")
    status: Status = _said("task status", "任务状态")
    start_time: LocalTime = _said("task execute start time", "任务开始执行时间")
    end_time: LocalTime | None = _said(
        "task execute end time; null while RUNNING", "任务结束执行时间；RUNNING 时为 null"
    )
    error_reason: str | None = _said("task failed error reason", "错误原因，未执行或执行成功则为null")
    replicated_bytes: Count | None = _said(
        "bytes so far, where the worker reports them", "已同步的字节数；未上报则为 null"
    )
    total_bytes: Count | None = _said("bytes in all, where the worker reports them", "总字节数；未上报则为 null")
    replica_overview: Overview = _said("the roll-up over its details", "详情汇总")
    last_event_time: LocalTime = _said(
        "the newest event of the record itself, not of its details", "该日志自身最新事件的时间，不含其详情的事件"
    )
    stale: bool = _said("RUNNING, and silent for too long", "处于 RUNNING 且长时间没有事件")


class TaskRun(_Schema):
    """A run of a task in short."""

    chinese = "任务一次执行的摘要。"

    id: Id = _said("record id", "执行日志唯一id")
    status: Status = _said("task status", "任务状态")
    start_time: LocalTime = _said("task execute start time", "任务开始执行时间")
    end_time: LocalTime | None = _said(
        "task execute end time; null while RUNNING", "任务结束执行时间；RUNNING 时为 null"
    )


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

    replica_object_type: ReplicaObjectType = _said(
        "what the task replicates; REPOSITORY where no event said it", "同步对象类型；未上报则为 REPOSITORY"
    )
    replica_type: ReplicaType = _said(
        "what starts the task; SCHEDULED where no event said it", "同步类型；未上报则为 SCHEDULED"
    )
    record: Record = _said("the record", "执行日志")


class Watched(Run):
    """The data of a stream's events."""

    chinese = "事件流中各事件的数据。"

    overview: Overview = _said("the record's roll-up, as in it", "详情汇总，与执行日志中的相同")
    reason: Annotated[
        Literal["finished", "removed"] | None, WithJsonSchema({"type": "string", "enum": ["finished", "removed"]})
    ] = Field(
        default_factory=lambda: None,  # not told in the schema: it is never null, but absent
        description=Text("in the last event alone: why it ended", "仅见于最后一个事件：结束的原因").in_both(),
    )


class PackageConstraint(_Schema):
    """The package that a detail copies."""

    chinese = "详情所同步的包。"

    package_key: str = _said("the package's key, or its name where only that is known", "包的 key；仅知包名时为包名")
    versions: list[str] | None = _said(
        "its versions; where they are not known, the detail's version alone, or null",
        "包的版本；未知时仅含详情的 version，或为 null",
    )


class PathConstraint(_Schema):
    """The path that a detail copies."""

    chinese = "详情所同步的路径。"

    path: str = _said("the path", "路径")


class Tally(_Schema):
    """How many of one kind of thing were handled."""

    chinese = "一类对象的数量。"

    total: Count = _said("total size", "总量")
    success: Count = _said("success size", "成功数量")
    skip: Count = _said("skip size", "跳过数量")
    failed: Count = _said("failed size", "失败数量")


class Progress(_Schema):
    """How far a detail has got."""

    chinese = "同步进度。"

    blob: Tally | None = _said("files; null where they are not counted", "同步blob文件数量；未统计则为 null")
    node: Tally | None = _said("nodes, likewise", "同步节点数量；同上")
    version: Tally | None = _said("package versions, likewise", "同步包版本数量；同上")
    total_size: Count = _said("bytes; 0 where not known", "同步文件数据数量, 单位bytes；未知为 0")
    success: Count = _said(
        "number of artifacts: success of version where it is not null, else of node, else of blob; else 0",
        "制品数量：version 非 null 时取其 success，否则取 node 的，再否则取 blob 的；均为 null 则为 0",
    )
    skip: Count = _said("skip, likewise", "skip，同上")
    failed: Count = _said("failed, likewise", "failed，同上")


class Detail(_Schema):
    """One thing copied to one cluster."""

    chinese = "同步到一个集群的一项内容（执行日志详情）。"

    id: Id = _said("the detail; unique inside its record", "详情 id，在其执行日志内唯一")
    record_id: Id = _said("record id", "记录唯一id")
    local_cluster: str = _said("local cluster node name; empty where unknown", "本地集群名称；未知则为空")
    remote_cluster: str = _said("remote cluster node name; empty where unknown", "远程集群名称；未知则为空")
    local_repo_name: str = _said("repository name; empty where unknown", "仓库名称；未知则为空")
    repo_type: str = _said(
        "repository type, in capitals; GENERIC where the worker named none", "仓库类型，大写；未上报则为 GENERIC"
    )
    package_constraint: PackageConstraint | None = _said("the package; null where there is none", "包；没有则为 null")
    path_constraint: PathConstraint | None = _said("the path; null where there is none", "路径；没有则为 null")
    artifact_name: str | None = _said("artifact name", "制品名称")
    version: str | None = _said("its version", "制品版本")
    conflict_strategy: str | None = _said(
        "how a conflict was settled, in capitals; null where there was none", "冲突的处理策略，大写；没有冲突则为 null"
    )
    size: Count | None = _said("bytes", "大小，单位 bytes")
    sha256: str | None = _said("its checksum", "校验和")
    status: Status = _said("task execute status", "任务执行状态")
    progress: Progress = _said("task execute progress; never null", "同步进度；不为 null")
    start_time: LocalTime = _said("task execute start time", "任务开始执行时间")
    end_time: LocalTime | None = _said(
        "task execute end time; null while RUNNING", "任务结束执行时间；RUNNING 时为 null"
    )
    error_reason: str | None = _said("task failed error reason", "错误原因，未执行或执行成功则为null")
    last_event_time: LocalTime = _said("its newest event", "最新事件的时间")
    stale: bool = _said("RUNNING, and silent for too long", "处于 RUNNING 且长时间没有事件")


class DetailCounts(_Schema):
    """How many details of one cluster, one repository or one pair of both have which status."""

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
    """Why details of a record failed."""

    chinese = "一条执行日志中详情失败的原因。"

    failed: Sum = _said("details with status FAILED", "状态为 FAILED 的详情数")
    examined: Count = _said("the newest so many of them were examined", "其中最新的若干条被检查")
    reasons: list[FailureReason] = _said("most failed first", "失败多的在前")


class ExportEnd(_Schema):
    """The last line of an export as NDJSON."""

    chinese = "NDJSON 导出的最后一行。"

    rows: Sum = _said(
        "details before this line; without it, the export was cut off", "此行之前的详情数；缺少此行表示导出被中断"
    )


class DetailPage(Page[Detail]):
    """A page of details."""

    chinese = "一页执行日志详情。"
