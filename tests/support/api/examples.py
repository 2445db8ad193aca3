"""Events of the source document's examples."""

from __future__ import annotations

from typing import Any

TASK = "651095dfe0524ce9b3ab53d13532361c"
RECORD = "609b573d53ccce752bf9b860"
DETAIL = "979b573d53efcd752bf9b762"
STARTED = {"recordId": RECORD, "eventTime": "2021-05-12T12:19:08.813Z"}
FINISHED = {"recordId": RECORD, "eventTime": "2021-05-12T12:19:37.967Z", "status": "SUCCESS", "errorReason": None}
PROGRESS = {"blob": {"total": 10, "success": 10}, "node": None, "version": None, "totalSize": 0}
EVENTS: list[dict[str, Any]] = [
    {"type": "record.started", "taskKey": TASK, **STARTED},
    {"type": "record.finished", "taskKey": TASK, **FINISHED},
    {"type": "detail.started", "detailId": DETAIL, "localCluster": TASK, "remoteCluster": "SUCCESS", **STARTED},
    {"type": "detail.finished", "detailId": DETAIL, "progress": PROGRESS, **FINISHED},
]
