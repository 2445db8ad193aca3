"""Query values: the parameters of each endpoint, declared once.

Each model is what parses a request (:mod:`replog_api.http.parameters`), what the endpoint takes, and what FastAPI
documents. Nothing behind the route reads the request's path or query string for parameters again.

To declare a parameter, write a field with ``= Path(...)`` or ``= Query(...)`` and a plain type: FastAPI forgets the
named examples of a field whose type is ``Annotated``. An optional field has a default, or ``default_factory=str`` where
an empty value has no place in the document. A rule between several parameters is a ``model_validator`` that raises
RefusedError. Fields are checked, and documented, in the order of the bases from right to left, then of the class.
"""

from __future__ import annotations

from functools import cached_property
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal, get_args

from fastapi import Path, Query, params
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from replog.store.format.index_entries import SEPARATOR
from replog.store.read.filters import DetailFilter
from replog.store.read.results import Grouping
from replog_api.http import messages
from replog_api.http.errors import INVALID_PARAMETER, RefusedError
from replog_api.http.languages import Text

#: Largest page.
MAX_PAGE_SIZE = 1000
#: Largest page number: what the API's clients can say in 32 bits.
MAX_PAGE_NUMBER = 2**31 - 1
#: Longest time that a client may wait for a page to change, in seconds.
MAX_WAIT_S = 60
#: Longest id or key, in characters.
MAX_ID_LENGTH = 128
#: Most task keys in one request.
MAX_KEYS = 200
#: Most runs that one request may ask of all its tasks together, and how many of each where nothing is said.
MAX_RUNS, DEFAULT_RUNS = 2000, 20
#: Most reasons of failures in one answer, and how many where nothing is said.
MAX_REASONS, DEFAULT_REASONS = 100, 10
#: Most details that a record waits for in one answer, and how many where nothing is said.
MAX_SILENT_DETAILS, DEFAULT_SILENT_DETAILS = 100, 10
#: Longest silence that can be asked for, in seconds: 68 years; and the one that is where nothing is said.
MAX_SILENT_S, DEFAULT_SILENT_S = 2**31 - 1, 900

#: The ids of the examples in the documents.
TASK_KEY, RECORD_ID = "651095dfe0524ce9b3ab53d13532361c", "609b573d53ccce752bf9b860"

#: An id: 1 to 128 characters, none of them a control character.
_ID: dict[str, Any] = {"min_length": 1, "max_length": MAX_ID_LENGTH, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"}

Id = Annotated[str, Field(**_ID)]
Status = Literal["", "RUNNING", "SUCCESS", "FAILED"]
#: The media of an export.
ExportFormat = Literal["csv", "ndjson"]
#: What details are counted by, and what an export comes as; the first where nothing is said.
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)


def _in_path(text: Text, examples: dict[str, str], alias: str | None = None) -> Any:
    return Path(**_documented(text, examples), **_ID, alias=alias)


def _in_query(text: Text, examples: dict[str, Any], **rules: Any) -> Any:
    return Query(**_documented(text, examples), **rules)


def _documented(text: Text, examples: dict[str, Any]) -> dict[str, Any]:
    named = {name: {"value": value} for name, value in examples.items()}
    return {"description": text.in_both(), "openapi_examples": named}


def _status(english: str, chinese: str) -> Any:
    text = Text(f"{english}; empty: any", f"{chinese}，精确匹配；为空则不限")
    return _in_query(text, {"any": "", "finished": "SUCCESS"}, default_factory=str)


def _prefix(english: str, chinese: str, example: str) -> Any:
    text = Text(
        f"{english}: a literal, case-sensitive prefix; empty: any",
        f"{chinese}：前缀匹配，按字面、区分大小写；为空则不限",
    )
    return _in_query(text, {"prefix": example}, default_factory=str)


def _exact(english: str, chinese: str, example: str) -> Any:
    text = Text(f"exactly this {english}; empty: any", f"{chinese}，精确匹配；为空则不限")
    return _in_query(text, {"exact" if example else "any": example}, default_factory=str)


def _one_of(words: tuple[str, ...], english: str, chinese: str) -> Any:
    text = Text(f"{english}; {words[0]} where absent or empty", f"{chinese}；缺省或为空则为 {words[0]}")
    documented = {"enum": ["", *words]}
    return _in_query(text, {word: word for word in words}, default=words[0], json_schema_extra=documented)


def _number(english: str, chinese: str, *, least: int = 1, most: int, default: int) -> Any:
    text = Text(f"{english}; empty: {default}", f"{chinese}；为空则为 {default}")
    return _in_query(text, {"default": default, "least": least}, default=default, ge=least, le=most)


def _wait() -> Any:
    text = Text(
        "with If-None-Match: seconds to wait for another answer before 304 is said; empty: 0",
        "与 If-None-Match 一起使用：在返回 304 之前等待新响应的秒数；为空则为 0",
    )
    return _in_query(text, {"not": 0, "long": 30}, default=0, alias="wait", ge=0, le=MAX_WAIT_S)


class QueryValue(BaseModel):
    """The parsed parameters of one request: immutable. A service endpoint has none.

    Strict: :class:`replog_api.http.parameters.Parser` makes text and numbers of what was sent.
    """

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, strict=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Make the fields the parameters of the class: FastAPI declares the parameters of what it is to call."""
        cls.__signature__ = Signature(
            [
                Parameter(name, Parameter.KEYWORD_ONLY, annotation=field.annotation, default=field)
                for name, field in cls.model_fields.items()
            ]
        )

    @classmethod
    def in_query_string(cls) -> set[str]:
        """Names of the parameters in the query string."""
        return {field.alias or name for name, field in cls.model_fields.items() if isinstance(field, params.Query)}


class _OfTask(QueryValue):
    task_key: str = _in_path(Text("task key", "任务唯一key"), {"documented": TASK_KEY}, alias="key")


class _OfRecord(QueryValue):
    record_id: str = _in_path(Text("record id", "任务执行日志唯一id"), {"documented": RECORD_ID})


class PageQuery(QueryValue):
    """The part that all queries for one page share: the page's number, from 1, and its most rows."""

    page_number: int = _in_query(
        Text("page number, from 1; 0 means 1 and is answered as 1", "当前页，从 1 开始；0 等同于 1，并按 1 返回"),
        {"first": 1, "documented": 0},
        ge=0,
        le=MAX_PAGE_NUMBER,
    )
    page_size: int = _in_query(
        Text("page size: rows a page", "分页数量：每页行数"), {"documented": 1, "many": 20}, ge=1, le=MAX_PAGE_SIZE
    )

    @field_validator("page_number")
    @classmethod
    def _count_from_one(cls, number: int) -> int:
        return number or 1

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return (self.page_number - 1) * self.page_size


class RecordListQuery(_OfTask):
    """All records of a task."""


class RecordPageQuery(PageQuery, _OfTask):
    """One page of a task's records, of one ``status`` or (empty) all.

    A client that has the page may wait for a change of it, for ``wait_s`` seconds.
    """

    status: Status = _status("exactly this status", "状态")
    wait_s: int = _wait()


class DetailListQuery(_OfRecord):
    """All details of a record."""


class _DetailFilters(QueryValue):
    status: Status = _status("exactly this status", "状态")
    package_name: str = _prefix(
        "package name; a value with :// is compared with the package's key",
        "包名称；值中含 :// 时与包的 key 比较",
        "npm://hello",
    )
    repo_name: str = _prefix("repository name", "仓库名称", "npm-")
    cluster_name: str = _prefix("cluster node name, of the remote cluster", "远程节点名称", "de")
    path: str = _prefix("path", "路径", "/tools/")
    artifact_name: str = _prefix("artifact name", "制品名称", "setup")
    version: str = _exact("version", "版本", "")
    remote_cluster: str = _exact("remote cluster", "远程节点", "dev")
    local_repo_name: str = _exact("repository name", "仓库名称", "npm-local")

    @cached_property
    def filter(self) -> DetailFilter:
        """The filters on details; a package name with ``://`` is the package's key."""
        is_key = SEPARATOR in self.package_name
        return DetailFilter(
            status=self.status,
            cluster_name=self.cluster_name,
            repo_name=self.repo_name,
            package_name="" if is_key else self.package_name,
            path=self.path,
            artifact_name=self.artifact_name,
            version=self.version,
            remote_cluster=self.remote_cluster,
            local_repo_name=self.local_repo_name,
            package_key=self.package_name if is_key else "",
        )


class DetailPageQuery(_DetailFilters, PageQuery, _OfRecord):
    """One page of a record's details that meet ``filter``; ``wait_s`` is as in :class:`RecordPageQuery`."""

    record_id: str = _in_path(
        Text(
            "record id; where no such record is known, a task key",
            "任务执行日志唯一id；若没有此执行日志，则为任务唯一key",
        ),
        {"documented": RECORD_ID, "documentedOfATask": TASK_KEY},
    )
    wait_s: int = _wait()


class RecordQuery(_OfRecord):
    """One record."""


class OverviewQuery(_OfRecord):
    """The roll-up of one record."""


class StreamQuery(_OfRecord):
    """The stream of one record's changes."""


class LatestQuery(QueryValue):
    """The latest records of some tasks, in this order."""

    task_keys: list[Id] = _in_query(
        Text("task key, given once for each task", "任务唯一key，每个任务给出一次"),
        {"documented": [TASK_KEY]},
        alias="key",
        min_length=1,
        max_length=MAX_KEYS,
    )


class TaskPageQuery(PageQuery):
    """One page of the tasks whose key begins with ``prefix``, by ``status`` of the latest record or (empty) all."""

    prefix: str = _prefix("task key", "任务唯一key", "6510")
    status: Status = _status("exactly this status of the latest record", "最新执行日志的状态")


class DetailCountsQuery(_OfRecord):
    """The numbers of a record's details ``by`` their place; of one ``remote_cluster`` or (empty) all."""

    by: Grouping = _one_of(GROUPINGS, "what details are counted by", "按何者统计详情数")
    remote_cluster: str = _in_query(
        Text(
            "count the details of exactly this remote cluster alone; empty: of all",
            "仅统计该远程节点的详情，精确匹配；为空则不限",
        ),
        {"exact": "dev"},
        default_factory=str,
    )


class FailureReasonsQuery(_OfRecord):
    """The ``limit`` most frequent reasons of a record's failures."""

    limit: int = _number(
        "reasons at most, the most frequent",
        "至多返回的原因数，最常见的在前",
        most=MAX_REASONS,
        default=DEFAULT_REASONS,
    )


class SilentDetailsQuery(_OfRecord):
    """The first ``limit`` details of those that a record waits for."""

    limit: int = _number(
        "details at most, the longest silent",
        "至多返回的详情数，最久没有事件的在前",
        most=MAX_SILENT_DETAILS,
        default=DEFAULT_SILENT_DETAILS,
    )


class DetailExportQuery(_DetailFilters, _OfRecord):
    """All details of a record that meet ``filter``, as a file in ``format``."""

    format: ExportFormat = _one_of(FORMATS, "what the export comes as", "导出格式")


class TaskRunsQuery(QueryValue):
    """The ``last`` runs of some tasks, in this order."""

    task_keys: list[Id] = _in_query(
        Text(
            f"task key, given once for each task; times last at most {MAX_RUNS:,}",
            f"任务唯一key，每个任务给出一次；个数与 last 之积不超过 {MAX_RUNS:,}",
        ),
        {"documented": [TASK_KEY]},
        alias="key",
        min_length=1,
        max_length=MAX_RUNS,
    )
    last: int = _number(
        "runs of each task at most, the newest", "每个任务至多返回的最近执行次数", most=MAX_RUNS, default=DEFAULT_RUNS
    )

    @model_validator(mode="after")
    def _limit_runs(self) -> TaskRunsQuery:
        keys = len(self.task_keys)
        if keys * self.last > MAX_RUNS:
            raise RefusedError(INVALID_PARAMETER, messages.too_many_runs("last", self.last, keys, MAX_RUNS))
        return self


class SilentPageQuery(PageQuery):
    """One page of the RUNNING records of tasks under ``prefix`` that had no event for longer than ``silent_for_s``."""

    prefix: str = _prefix("task key", "任务唯一key", "6510")
    silent_for_s: int = _number(
        "seconds for longer than which there was no event",
        "没有事件的时长超过多少秒",
        most=MAX_SILENT_S,
        default=DEFAULT_SILENT_S,
    )
