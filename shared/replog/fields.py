"""The fields of records and details: one table that the wire, the store, the answers and the documents derive from.

A *fact* is a field that describes a record or detail and is replaced as a whole with the others. Facts alone have a
storage code. Codes are append-only and in no order: ties are decided by wire names
(:class:`replog.records.FactsFormat`).

To add a fact: a row here, with a code that no row ever had; the attribute in :mod:`replog.events` and
:mod:`replog.entities`; the attribute in ``replog_api.contracts.schemas`` where answers have it. Tests compare these
with the table. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Meaning(NamedTuple):
    """A text of the documents in both languages."""

    english: str
    chinese: str


#: No meaning of its own.
NOTHING = Meaning("", "")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: a row of a table.

    ``name`` is the attribute of structs and entities; ``wire`` the key in events, ``key`` the key in answers, each None
    where there is none. ``code``, one letter of ASCII, stands for a fact in the store. ``answered`` is what
    answers add to the meaning, ``default`` what they give where no event carried the field. ``since`` is the version
    of the contracts that brought it.
    """

    name: str
    wire: str | None
    key: str | None
    meaning: Meaning
    answered: Meaning = NOTHING
    code: str | None = None
    default: str | None = None
    since: int = 1

    @property
    def in_events(self) -> Meaning:
        """The description for those who publish."""
        return self._described(self.meaning)

    @property
    def in_answers(self) -> Meaning:
        """The description for those who read answers."""
        both = [text for text in (self.meaning, self.answered) if text != NOTHING]
        return self._described(
            Meaning("; ".join(text.english for text in both), "；".join(text.chinese for text in both))
        )

    def _described(self, meaning: Meaning) -> Meaning:
        if self.since == FIRST_VERSION:
            return meaning
        return Meaning(f"{meaning.english}; since version {self.since}", f"{meaning.chinese}；自版本 {self.since} 起")


#: Version of the contracts that most fields came with.
FIRST_VERSION = 1

_EMPTY_WHERE_UNKNOWN = Meaning("empty where unknown", "未知则为空")
_NULL_WHILE_RUNNING = Meaning("null while RUNNING", "RUNNING 时为 null")
_IN_BYTES = Meaning("bytes", "大小，单位 bytes")

#: Keys of every event, or of those of details.
EVENT = (
    Field(
        "record_id",
        "recordId",
        None,
        Meaning("one execution (run) of a task; unique for ever", "任务的一次执行；永不重复"),
    ),
    Field(
        "event_us",
        "eventTime",
        None,
        Meaning(
            "when it happened, by the worker's clock: an RFC 3339 time, within the years 1 to 9999 in UTC; "
            "what is below a microsecond is cut off",
            "发生时间，以 worker 的时钟为准：RFC 3339 格式，UTC 1 至 9999 年；微秒以下部分截去",
        ),
    ),
    Field("event_id", "eventId", None, Meaning("for tracing and logs only", "仅用于追踪和日志")),
    Field(
        "attempt",
        "attempt",
        None,
        Meaning(
            "a retry inside one run; a higher one supersedes all lower ones",
            "同一次执行内的重试序号；大者取代小者",
        ),
    ),
    Field("task_key", "taskKey", None, Meaning("the task", "任务唯一key")),
    Field(
        "detail_id",
        "detailId",
        None,
        Meaning(
            "one thing replicated to one remote cluster; unique inside its record",
            "详情 id，在其执行日志内唯一",
        ),
    ),
)

#: A record: its facts, its other registers and its roll-up, in the order of the keys in answers.
RECORD = (
    Field("id", None, "id", Meaning("record id", "执行日志唯一id")),
    Field("task_key", "taskKey", "taskKey", Meaning("task key", "任务唯一key"), code="D"),
    Field("task_name", "taskName", None, Meaning("the task's name for people", "任务名称，供人阅读"), code="E"),
    Field("replica_type", "replicaType", None, Meaning("what starts the task", "同步类型"), code="C"),
    Field(
        "replica_object_type", "replicaObjectType", None, Meaning("what the task replicates", "同步对象类型"), code="B"
    ),
    Field(
        "expected_details",
        "expectedDetails",
        None,
        Meaning(
            "how many details this run will have, if known",
            "本次执行预计的详情数（如已知）",
        ),
        code="A",
    ),
    Field("status", "status", "status", Meaning("task status", "任务状态")),
    Field("start_ms", None, "startTime", Meaning("task execute start time", "任务开始执行时间")),
    Field("end_ms", None, "endTime", Meaning("task execute end time", "任务结束执行时间"), _NULL_WHILE_RUNNING),
    Field(
        "error_reason",
        "errorReason",
        "errorReason",
        Meaning("task failed error reason", "错误原因"),
        Meaning(
            "null where it did not fail, or no reason was given",
            "未执行或执行成功则为null",
        ),
    ),
    Field(
        "replicated_bytes",
        "replicatedBytes",
        "replicatedBytes",
        Meaning("bytes so far; absolute", "已同步的字节数；绝对值"),
        Meaning(
            "null where the worker does not report them",
            "未上报则为 null",
        ),
    ),
    Field(
        "total_bytes",
        "totalBytes",
        "totalBytes",
        Meaning("bytes in all; absolute", "总字节数；绝对值"),
        Meaning(
            "null where the worker does not report them",
            "未上报则为 null",
        ),
    ),
    Field("overview", None, "replicaOverview", Meaning("the roll-up over its details", "详情汇总")),
    Field(
        "last_ms",
        None,
        "lastEventTime",
        Meaning(
            "the newest event of the record itself, not of its details",
            "该日志自身最新事件的时间，不含其详情的事件",
        ),
    ),
    Field("stale", None, "stale", Meaning("RUNNING, and silent for too long", "处于 RUNNING 且长时间没有事件")),
)

#: A record's facts that stand beside it in an answer, in the order of their keys.
RUN = (
    Field(
        "replica_object_type",
        None,
        "replicaObjectType",
        Meaning("what the task replicates", "同步对象类型"),
        Meaning(
            "REPOSITORY where no event said it",
            "未上报则为 REPOSITORY",
        ),
        default="REPOSITORY",
    ),
    Field(
        "replica_type",
        None,
        "replicaType",
        Meaning("what starts the task", "同步类型"),
        Meaning(
            "SCHEDULED where no event said it",
            "未上报则为 SCHEDULED",
        ),
        default="SCHEDULED",
    ),
    Field("record", None, "record", Meaning("the record", "执行日志")),
)

#: A record's roll-up over its details.
OVERVIEW = (
    Field("success", None, "success", Meaning("details with status SUCCESS", "状态为 SUCCESS 的详情数")),
    Field("failed", None, "failed", Meaning("details with status FAILED", "状态为 FAILED 的详情数")),
    Field("running", None, "running", Meaning("details with status RUNNING", "状态为 RUNNING 的详情数")),
    Field(
        "total", None, "total", Meaning("details seen so far: the sum of these three", "目前已知的详情数：以上三项之和")
    ),
    Field(
        "expected",
        None,
        "expected",
        Meaning("how many there will be, where the worker said", "预计的详情数；未知则为 null"),
    ),
    Field("skip", None, "skip", Meaning("sum of progress.skip of the details", "各详情 progress.skip 之和")),
    Field("conflict", None, "conflict", Meaning("details with a conflictStrategy", "带有 conflictStrategy 的详情数")),
    Field(
        "total_size",
        None,
        "totalSize",
        Meaning(
            "sum of progress.totalSize of the details, in bytes; may exceed 2^63-1",
            "各详情 progress.totalSize 之和，单位 bytes；可能超过 2^63-1",
        ),
    ),
)

#: A detail: its facts and its other registers, in the order of the keys in answers. What stands inside of an object of
#: an answer follows the object.
DETAIL = (
    Field("id", None, "id", Meaning("the detail; unique inside its record", "详情 id，在其执行日志内唯一")),
    Field("record_id", None, "recordId", Meaning("record id", "记录唯一id")),
    Field(
        "local_cluster",
        "localCluster",
        "localCluster",
        Meaning("local cluster node name", "本地集群名称"),
        _EMPTY_WHERE_UNKNOWN,
        code="c",
    ),
    Field(
        "remote_cluster",
        "remoteCluster",
        "remoteCluster",
        Meaning("remote cluster node name", "远程集群名称"),
        _EMPTY_WHERE_UNKNOWN,
        code="g",
    ),
    Field(
        "repo_name", "repoName", "localRepoName", Meaning("repository name", "仓库名称"), _EMPTY_WHERE_UNKNOWN, code="h"
    ),
    Field(
        "repo_type",
        "repoType",
        "repoType",
        Meaning("repository type; GENERIC where absent", "仓库类型；未上报则为 GENERIC"),
        Meaning(
            "in capitals",
            "大写",
        ),
        code="i",
        default="GENERIC",
    ),
    Field(
        "package_constraint",
        None,
        "packageConstraint",
        Meaning("the package; null where there is none", "包；没有则为 null"),
    ),
    Field("package_name", "packageName", None, Meaning("the package's name", "包名"), code="e"),
    Field(
        "package_key",
        "packageKey",
        None,
        Meaning("the package's key, as npm://helloworld", "包的 key，如 npm://helloworld"),
        code="d",
    ),
    Field("versions", "versions", None, Meaning("the versions of the package", "包的版本"), code="m"),
    Field(
        "path_constraint", None, "pathConstraint", Meaning("the path; null where there is none", "路径；没有则为 null")
    ),
    Field("path", "path", None, Meaning("the path", "路径"), code="f"),
    Field("artifact_name", "artifactName", "artifactName", Meaning("artifact name", "制品名称"), code="a"),
    Field("version", "version", "version", Meaning("its version", "制品版本"), code="l"),
    Field(
        "conflict_strategy",
        "conflictStrategy",
        "conflictStrategy",
        Meaning(
            "how a conflict was settled, where there was one",
            "冲突的处理策略（仅在有冲突时）",
        ),
        Meaning("in capitals; null where there was none", "大写；没有冲突则为 null"),
        code="b",
    ),
    Field("size", "size", "size", _IN_BYTES, code="k"),
    Field("sha256", "sha256", "sha256", Meaning("the checksum", "校验和"), code="j"),
    Field("status", "status", "status", Meaning("task execute status", "任务执行状态")),
    Field(
        "progress",
        "progress",
        "progress",
        Meaning("task execute progress", "同步进度"),
        Meaning("never null", "不为 null"),
    ),
    Field("start_ms", None, "startTime", Meaning("task execute start time", "任务开始执行时间")),
    Field("end_ms", None, "endTime", Meaning("task execute end time", "任务结束执行时间"), _NULL_WHILE_RUNNING),
    Field(
        "error_reason",
        "errorReason",
        "errorReason",
        Meaning("task failed error reason", "错误原因"),
        Meaning(
            "null where it did not fail, or no reason was given",
            "未执行或执行成功则为null",
        ),
    ),
    Field("last_ms", None, "lastEventTime", Meaning("its newest event", "最新事件的时间")),
    Field("stale", None, "stale", Meaning("RUNNING, and silent for too long", "处于 RUNNING 且长时间没有事件")),
)

#: What answers say of a detail's package, and of its path.
PACKAGE = (
    Field(
        "package_key",
        None,
        "packageKey",
        Meaning(
            "the package's key, or its name where only that is known",
            "包的 key；仅知包名时为包名",
        ),
    ),
    Field(
        "versions",
        None,
        "versions",
        Meaning(
            "its versions; where they are not known, the detail's version alone, or null",
            "包的版本；未知时仅含详情的 version，或为 null",
        ),
    ),
)
PATH = (Field("path", None, "path", Meaning("the path", "路径")),)

#: A detail's progress. Behind what events carry stand the numbers of artifacts that answers add.
PROGRESS = (
    Field(
        "blob", "blob", "blob", Meaning("files; null where they are not counted", "同步blob文件数量；未统计则为 null")
    ),
    Field("node", "node", "node", Meaning("nodes, likewise", "同步节点数量；同上")),
    Field("version", "version", "version", Meaning("package versions, likewise", "同步包版本数量；同上")),
    Field(
        "total_size",
        "totalSize",
        "totalSize",
        Meaning("bytes; 0 where not known", "同步文件数据数量, 单位bytes；未知为 0"),
    ),
    Field(
        "success",
        None,
        "success",
        Meaning(
            "number of artifacts: success of version where it is not null, else of node, else of blob; else 0",
            "制品数量：version 非 null 时取其 success，否则取 node 的，再否则取 blob 的；均为 null 则为 0",
        ),
    ),
    Field("skip", None, "skip", Meaning("skip, likewise", "skip，同上")),
    Field("failed", None, "failed", Meaning("failed, likewise", "failed，同上")),
)

#: How many of one kind of thing were handled.
TALLY = (
    Field("total", "total", "total", Meaning("total size", "总量")),
    Field("success", "success", "success", Meaning("success size", "成功数量")),
    Field("skip", "skip", "skip", Meaning("skip size", "跳过数量")),
    Field("failed", "failed", "failed", Meaning("failed size", "失败数量")),
)

TABLES = (EVENT, RECORD, RUN, OVERVIEW, DETAIL, PACKAGE, PATH, PROGRESS, TALLY)
#: The version of the contracts: that of the newest field.
CONTRACT_VERSION = max(field.since for table in TABLES for field in table)
#: The keys of events by attribute.
WIRE_NAMES = {field.name: field.wire for table in TABLES for field in table if field.wire}
