"""What OpenAPI says about each endpoint: parameters, bodies, errors."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from replog_api import schemas
from replog_api.parameters import MAX_ID_LENGTH, MAX_KEYS, MAX_PAGE_NUMBER, MAX_PAGE_SIZE, MAX_WAIT_S

_ERRORS: dict[int | str, dict[str, Any]] = {
    500: {"model": schemas.Envelope[None], "description": "Something unexpected (code 250102)"},
    503: {
        "model": schemas.Envelope[None],
        "description": "The store does not answer; Retry-After says when (250102)",
    },
}
_INVALID: dict[int | str, dict[str, Any]] = {
    400: {
        "model": schemas.Envelope[None],
        "description": "A parameter is missing (code 250103) or out of its domain (250131)",
    }
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {
    400: {
        "model": schemas.Envelope[None],
        "description": "The id is out of its domain (code 250131) or no such record is known (250310)",
    }
}


def _path(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query(name: str, description: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


def _prefix(name: str, what: str) -> dict[str, Any]:
    return _query(name, f"literal, case-sensitive prefix of {what}; empty: any", {"type": "string"})


_KEY = _path("key", "the task's key")
_RECORD_ID = _path("recordId", "the record's id")
_PAGE = [
    _query(
        "pageNumber",
        "which page, from 1; 0 means 1",
        {"type": "integer", "minimum": 0, "maximum": MAX_PAGE_NUMBER},
        required=True,
    ),
    _query("pageSize", "rows a page", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE}, required=True),
]
_WAIT = _query(
    "wait",
    "with If-None-Match: seconds to wait for another answer before 304 is said",
    {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_S, "default": 0},
)
_STATUS = _query("status", "exactly this status; empty: any", {"enum": ["", "RUNNING", "SUCCESS", "FAILED"]})
_FILTERS = [
    _STATUS,
    _prefix("packageName", "the package's name; what precedes :// in it is passed over"),
    _prefix("repoName", "the repository's name"),
    _prefix("clusterName", "the remote cluster's name"),
    _prefix("path", "the path"),
    _prefix("artifactName", "the artifact's name"),
    _query("version", "exactly this version; empty: any", {"type": "string"}),
]


_KEYS = _query(
    "key",
    "a task's key, given once for each task",
    {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH},
        "minItems": 1,
        "maxItems": MAX_KEYS,
    },
    required=True,
)


def _documented(
    operation_id: str, summary: str, data: Any, parameters: list[Any], errors: dict[int | str, dict[str, Any]]
) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": summary,
        "response_model": None,
        "responses": {
            200: {"model": schemas.Envelope[data], "description": "The answer"},
            **errors,
            **_ERRORS,
        },
        "openapi_extra": {"parameters": parameters},
    }


LATEST_RECORDS = _documented(
    "list_latest_task_record", "Tasks by key, each with its latest record", list[schemas.Task], [_KEYS], _INVALID
)
PAGE_TASKS = _documented(
    "list_task_page",
    "A page of tasks, each with its latest record, the last active ones first",
    schemas.Page[schemas.Task],
    [*_PAGE, _prefix("prefix", "the task's key"), _STATUS],
    _INVALID,
)
LIST_RECORDS = _documented(
    "list_task_record", "All records of a task, newest first", list[schemas.Record], [_KEY], _INVALID
)
PAGE_RECORDS = _documented(
    "list_task_record_page",
    "A page of a task's records, newest first",
    schemas.Page[schemas.Record],
    [_KEY, *_PAGE, _STATUS, _WAIT],
    _INVALID,
)
LIST_DETAILS = _documented(
    "list_task_record_detail",
    "All details of a record, newest first",
    list[schemas.Detail],
    [_RECORD_ID],
    _INVALID,
)
PAGE_DETAILS = _documented(
    "list_task_record_detail_page",
    "A page of a record's details, newest first; where the id is none of a record but a task's key, of its records",
    schemas.Page[schemas.Detail] | schemas.Page[schemas.Record],
    [_RECORD_ID, *_PAGE, *_FILTERS, _WAIT],
    _INVALID,
)
OVERVIEW = _documented(
    "get_task_record_overview",
    "A record's roll-up over its details; null where it is unknown",
    schemas.Overview | None,
    [_RECORD_ID],
    _INVALID,
)
RECORD = _documented("get_task_record", "One record", schemas.Run, [_RECORD_ID], _UNKNOWN)

STREAM: dict[str, Any] = _documented(
    "stream_task_record", "One record as Server-Sent Events: a snapshot, its changes, its end", Any, [], _UNKNOWN
)
# One without a media type of its own: errors are JSON.
STREAM["response_class"] = Response
STREAM["responses"][200] = {
    "description": "Events named snapshot, change and end; their data is the schema Watched as one line of JSON",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
STREAM["responses"][204] = {"description": "The record has ended, and the client has seen the end"}
STREAM["openapi_extra"]["parameters"] = [
    _RECORD_ID,
    {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "the id of the last event that the client has: what it says already is not said again",
        "schema": {"type": "string"},
    },
]
