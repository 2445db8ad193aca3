"""The examples of the document: those of the API's source document, with all that this service adds. Pure.

Tests store events that lead to them, ask for them and compare.
"""

from __future__ import annotations

import json
from typing import Any

from replog_api.http.query_values import RECORD_ID, TASK_KEY

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
ETAG = 'W/"1f0cbd3b2f6a4f0c9d2e7a51-"'
LAST_EVENT = "77d2a9e0c3b14f5a6b8c9d0e-end"

_TIMES = {"startTime": "2021-05-12T12:19:08.813", "endTime": "2021-05-12T12:19:37.967", "errorReason": None}
_SEEN = {"lastEventTime": "2021-05-12T12:19:37.967", "stale": False}

OVERVIEW: dict[str, Any] = {
    "success": 1,
    "failed": 0,
    "running": 0,
    "total": 1,
    "expected": None,
    "skip": 0,
    "conflict": 0,
    "totalSize": 0,
}
RECORD: dict[str, Any] = {
    "id": RECORD_ID,
    "taskKey": TASK_KEY,
    "status": "SUCCESS",
    **_TIMES,
    "replicatedBytes": None,
    "totalBytes": None,
    "replicaOverview": OVERVIEW,
    **_SEEN,
}
DETAIL: dict[str, Any] = {
    "id": "979b573d53efcd752bf9b762",
    "recordId": RECORD_ID,
    "localCluster": TASK_KEY,
    "remoteCluster": "SUCCESS",
    "localRepoName": "",
    "repoType": "GENERIC",
    "packageConstraint": None,
    "pathConstraint": None,
    "artifactName": None,
    "version": None,
    "conflictStrategy": None,
    "size": None,
    "sha256": None,
    "status": "SUCCESS",
    "progress": {
        "blob": {"total": 10, "success": 10, "skip": 0, "failed": 0},
        "node": None,
        "version": None,
        "totalSize": 0,
        "success": 10,
        "skip": 0,
        "failed": 0,
    },
    **_TIMES,
    **_SEEN,
}
#: An export of that detail.
LINES = f'{json.dumps(DETAIL, separators=(",", ":"))}\n{{"rows":1}}\n'
CSV = (
    "\ufeffid,recordId,localCluster,remoteCluster,localRepoName,repoType,packageConstraint.packageKey,"
    "packageConstraint.versions,pathConstraint.path,artifactName,version,conflictStrategy,size,sha256,status,"
    "progress.blob.total,progress.blob.success,progress.blob.skip,progress.blob.failed,"
    "progress.node.total,progress.node.success,progress.node.skip,progress.node.failed,"
    "progress.version.total,progress.version.success,progress.version.skip,progress.version.failed,"
    "progress.totalSize,progress.success,progress.skip,progress.failed,"
    "startTime,endTime,errorReason,lastEventTime,stale\r\n"
    f"979b573d53efcd752bf9b762,{RECORD_ID},{TASK_KEY},SUCCESS,,GENERIC,,,,,,,,,SUCCESS,10,10,0,0,,,,,,,,,0,10,0,0,"
    "2021-05-12T12:19:08.813,2021-05-12T12:19:37.967,,2021-05-12T12:19:37.967,false\r\n"
)
COUNTS: dict[str, Any] = {
    "remoteCluster": "SUCCESS",
    "localRepoName": None,
    "success": 1,
    "failed": 0,
    "running": 0,
    "total": 1,
}
REASONS: dict[str, Any] = {"failed": 0, "examined": 0, "reasons": []}
SILENT_DETAILS: dict[str, Any] = {
    "lastActivityTime": RECORD["lastEventTime"],
    "expected": None,
    "missing": None,
    "running": 0,
    "examined": 0,
    "details": [],
}
NO_PAGE: dict[str, Any] = {"pageNumber": 1, "pageSize": 1, "totalRecords": 0, "totalPages": 0, "records": []}
RUNS: dict[str, Any] = {
    "taskKey": TASK_KEY,
    "totalRecords": 1,
    "runs": [{name: RECORD[name] for name in ("id", "status", "startTime", "endTime")}],
}
TASK: dict[str, Any] = {"taskKey": TASK_KEY, "record": RECORD}
RUN: dict[str, Any] = {"replicaObjectType": "REPOSITORY", "replicaType": "SCHEDULED", "record": RECORD}
#: The end of a stream.
END: dict[str, Any] = {
    "id": LAST_EVENT,
    "event": "end",
    "data": json.dumps({**RUN, "overview": OVERVIEW, "reason": "finished"}, separators=(",", ":")),
}


def page_of(row: dict[str, Any]) -> dict[str, Any]:
    """The first page of one row a page, where there is no other row."""
    return {"pageNumber": 1, "pageSize": 1, "totalRecords": 1, "totalPages": 1, "records": [row]}


def enveloped(data: Any, *, code: int = 0, message: str | None = None) -> dict[str, Any]:
    """An answer, or with ``code`` and ``message`` an error."""
    return {"code": code, "message": message, "data": data, "traceId": TRACE_ID}
