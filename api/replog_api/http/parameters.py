"""Parsing of the query API's parameters: one function for each query, and one for each parameter below.

Each raises RefusedError with a message that names the parameter and its value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar, get_args
from urllib.parse import unquote_to_bytes

from replog.records import STATUS_LETTERS
from replog.store.format.index_entries import SEPARATOR
from replog.store.read.filters import DetailFilter
from replog.store.read.results import Grouping
from replog_api.http import messages
from replog_api.http.errors import INVALID_PARAMETER, MISSING_PARAMETER, RefusedError
from replog_api.http.query_values import (
    DetailCountsQuery,
    DetailExportQuery,
    DetailListQuery,
    DetailPageQuery,
    ExportFormat,
    FailureReasonsQuery,
    LatestQuery,
    OverviewQuery,
    RecordListQuery,
    RecordPageQuery,
    RecordQuery,
    SilentPageQuery,
    StreamQuery,
    TaskPageQuery,
    TaskRunsQuery,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

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
#: Longest silence that can be asked for, in seconds: 68 years; and the one that is where nothing is said.
MAX_SILENT_S, DEFAULT_SILENT_S = 2**31 - 1, 900
#: What details are counted by, and what an export comes as; the first where nothing is said.
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
W = TypeVar("W", bound=str)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def record_list_query(request: Request) -> RecordListQuery:
    """The query for all records of a task."""
    return RecordListQuery(path_id(request, "key"))


def record_page_query(request: Request) -> RecordPageQuery:
    """The query for a page of a task's records."""
    query = request.query_params
    return RecordPageQuery(path_id(request, "key"), *page_number_and_size(query), status(query), wait_s(query))


def detail_list_query(request: Request) -> DetailListQuery:
    """The query for all details of a record."""
    return DetailListQuery(path_id(request, "recordId"))


def detail_page_query(request: Request) -> DetailPageQuery:
    """The query for a page of a record's details."""
    query = request.query_params
    record_id = path_id(request, "recordId")
    return DetailPageQuery(record_id, *page_number_and_size(query), detail_filter(query), wait_s(query))


def record_query(request: Request) -> RecordQuery:
    """The query for one record."""
    return RecordQuery(path_id(request, "recordId"))


def overview_query(request: Request) -> OverviewQuery:
    """The query for a record's roll-up."""
    return OverviewQuery(path_id(request, "recordId"))


def latest_query(request: Request) -> LatestQuery:
    """The query for the latest records of some tasks."""
    return LatestQuery(task_keys(request.scope["query_string"]))


def task_page_query(request: Request) -> TaskPageQuery:
    """The query for a page of tasks."""
    query = request.query_params
    number, size = page_number_and_size(query)
    return TaskPageQuery(query.get("prefix", ""), number, size, status(query))


def detail_counts_query(request: Request) -> DetailCountsQuery:
    """The query for the numbers of a record's details."""
    query = request.query_params
    return DetailCountsQuery(
        path_id(request, "recordId"), _word(query, "by", GROUPINGS), query.get("remoteCluster", "")
    )


def failure_reasons_query(request: Request) -> FailureReasonsQuery:
    """The query for the reasons of a record's failures."""
    limit = _optional_integer(request.query_params, "limit", 1, MAX_REASONS, DEFAULT_REASONS)
    return FailureReasonsQuery(path_id(request, "recordId"), limit)


def silent_page_query(request: Request) -> SilentPageQuery:
    """The query for a page of silent records."""
    query = request.query_params
    number, size = page_number_and_size(query)
    silent_for_s = _optional_integer(query, "silentForS", 1, MAX_SILENT_S, DEFAULT_SILENT_S)
    return SilentPageQuery(silent_for_s, number, size)


def detail_export_query(request: Request) -> DetailExportQuery:
    """The query for an export of a record's details."""
    query = request.query_params
    return DetailExportQuery(path_id(request, "recordId"), _word(query, "format", FORMATS), detail_filter(query))


def task_runs_query(request: Request) -> TaskRunsQuery:
    """The query for the newest runs of some tasks."""
    keys = task_keys(request.scope["query_string"], MAX_RUNS)
    last = _optional_integer(request.query_params, "last", 1, MAX_RUNS, DEFAULT_RUNS)
    if len(keys) * last > MAX_RUNS:
        raise RefusedError(INVALID_PARAMETER, messages.too_many_runs("last", last, len(keys), MAX_RUNS))
    return TaskRunsQuery(keys, last)


def stream_query(request: Request) -> StreamQuery:
    """The query for a record's stream."""
    return StreamQuery(path_id(request, "recordId"))


def path_id(request: Request, name: str) -> str:
    """The id or key in the path.

    Raises:
        RefusedError: longer than 128 characters, or no text without control characters.
    """
    # The path was routed as it came, so that an id may hold an encoded slash.
    return _id(unquote_to_bytes(request.path_params[name].encode("latin-1")), name)


def task_keys(query_string: bytes, most: int = MAX_KEYS) -> list[str]:
    """All of ``key``, as often as they are given.

    Raises:
        RefusedError: there is none, or more than ``most``; or one is as :func:`path_id` says, or empty.
    """
    # Not by Starlette's reading, which makes text of what is none.
    pairs = (part.replace(b"+", b" ").partition(b"=") for part in query_string.split(b"&"))
    keys = [unquote_to_bytes(value) for name, _, value in pairs if unquote_to_bytes(name) == b"key"]
    if not keys or b"" in keys:
        raise RefusedError(MISSING_PARAMETER, messages.missing("key"))
    if len(keys) > most:
        raise RefusedError(INVALID_PARAMETER, messages.too_many("key", len(keys), most))
    return [_id(key, "key") for key in keys]


def _id(raw: bytes, name: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise RefusedError(INVALID_PARAMETER, messages.not_utf8(name)) from None
    if len(text) > MAX_ID_LENGTH:
        raise RefusedError(INVALID_PARAMETER, messages.too_long(name, len(text), MAX_ID_LENGTH))
    if _CONTROL.search(text):
        raise RefusedError(INVALID_PARAMETER, messages.control_character(name))
    return text


def page_number_and_size(query: Mapping[str, str]) -> tuple[int, int]:
    """``pageNumber``, of which 0 is 1, and ``pageSize``. Raises RefusedError."""
    number = _integer(query, "pageNumber", 0, MAX_PAGE_NUMBER)
    size = _integer(query, "pageSize", 1, MAX_PAGE_SIZE)
    return max(1, number), size


def wait_s(query: Mapping[str, str]) -> int:
    """``wait``, 0 where absent. Raises RefusedError."""
    return _optional_integer(query, "wait", 0, MAX_WAIT_S, 0)


def status(query: Mapping[str, str]) -> str:
    """``status``, empty where absent. Raises RefusedError."""
    text = query.get("status", "")
    if text and text not in STATUS_LETTERS:
        raise RefusedError(INVALID_PARAMETER, messages.none_of("status", text, STATUS_LETTERS))
    return text


def detail_filter(query: Mapping[str, str]) -> DetailFilter:
    """All filters on details. Raises RefusedError."""
    package = query.get("packageName", "")
    is_key = SEPARATOR in package
    return DetailFilter(
        status=status(query),
        cluster_name=query.get("clusterName", ""),
        repo_name=query.get("repoName", ""),
        package_name="" if is_key else package,
        path=query.get("path", ""),
        artifact_name=query.get("artifactName", ""),
        version=query.get("version", ""),
        remote_cluster=query.get("remoteCluster", ""),
        local_repo_name=query.get("localRepoName", ""),
        package_key=package if is_key else "",
    )


def _word(query: Mapping[str, str], name: str, allowed: tuple[W, ...]) -> W:
    """One of some words; the first where it is absent or empty."""
    text = query.get(name, "")
    if not text:
        return allowed[0]
    for word in allowed:
        if text == word:
            return word
    raise RefusedError(INVALID_PARAMETER, messages.none_of(name, text, allowed))


def _optional_integer(query: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    return _integer(query, name, least, most) if query.get(name) else default


def _integer(query: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = query.get(name, "")
    if not text:
        raise RefusedError(MISSING_PARAMETER, messages.missing(name))
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise RefusedError(INVALID_PARAMETER, messages.out_of_range(name, text, least, most))
    return int(text)
