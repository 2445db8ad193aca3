"""The examples of the source document: events that lead to them are answered with exactly these bodies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.api.examples import DETAIL, EVENTS, RECORD, TASK
from tests.support.query_service import in_order

if TYPE_CHECKING:
    from tests.support.api.served import Serve


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


RECORD_JSON = """{
    "id": "609b573d53ccce752bf9b860",
    "taskKey": "651095dfe0524ce9b3ab53d13532361c",
    "status": "SUCCESS",
    "startTime": "2021-05-12T12:19:08.813",
    "endTime": "2021-05-12T12:19:37.967",
    "errorReason": null,
    "replicatedBytes": null,
    "totalBytes": null,
    "replicaOverview": {
        "success": 1, "failed": 0, "running": 0, "total": 1, "expected": null,
        "skip": 0, "conflict": 0, "totalSize": 0
    },
    "lastEventTime": "2021-05-12T12:19:37.967",
    "stale": false
}"""
DETAIL_JSON = """{
    "id": "979b573d53efcd752bf9b762",
    "recordId": "609b573d53ccce752bf9b860",
    "localCluster": "651095dfe0524ce9b3ab53d13532361c",
    "remoteCluster": "SUCCESS",
    "localRepoName": "",
    "repoType": "GENERIC",
    "packageConstraint": null,
    "pathConstraint": null,
    "artifactName": null,
    "version": null,
    "conflictStrategy": null,
    "size": null,
    "sha256": null,
    "status": "SUCCESS",
    "progress": {
        "blob": {"total": 10, "success": 10, "skip": 0, "failed": 0},
        "node": null,
        "version": null,
        "totalSize": 0,
        "success": 10, "skip": 0, "failed": 0
    },
    "startTime": "2021-05-12T12:19:08.813",
    "endTime": "2021-05-12T12:19:37.967",
    "errorReason": null,
    "lastEventTime": "2021-05-12T12:19:37.967",
    "stale": false
}"""
PAGE_JSON = '{"pageNumber": 1, "pageSize": 1, "totalRecords": 1, "totalPages": 1, "records": [%s]}'

DOCUMENTED_RECORD = ["id", "taskKey", "status", "startTime", "endTime", "errorReason"]
DOCUMENTED_DETAIL = [
    "recordId",
    "localCluster",
    "remoteCluster",
    "status",
    "progress",
    "startTime",
    "endTime",
    "errorReason",
]


@pytest.mark.parametrize(
    ("endpoint", "entity_id", "page_size", "data"),
    [
        ("list", TASK, None, f"[{RECORD_JSON}]"),
        ("page", TASK, 1, PAGE_JSON % RECORD_JSON),
        ("detail/page", TASK, 1, PAGE_JSON % RECORD_JSON),
        ("detail/list", RECORD, None, f"[{DETAIL_JSON}]"),
        ("detail/page", RECORD, 1, PAGE_JSON % DETAIL_JSON),
        (
            "",
            RECORD,
            None,
            f'{{"replicaObjectType": "REPOSITORY", "replicaType": "SCHEDULED", "record": {RECORD_JSON}}}',
        ),
    ],
)
async def test_an_example_is_answered_key_for_key(
    serve: Serve, endpoint: str, entity_id: str, page_size: int | None, data: str
) -> None:
    """In the documented order, nulls included."""
    service = await serve(*EVENTS)
    service.client.headers["traceparent"] = f"00-{TRACE}-00f067aa0ba902b7-01"
    query = {} if page_size is None else {"pageNumber": 1, "pageSize": page_size}
    answer = await service.get(endpoint, entity_id, **query)
    envelope = f'{{"code": 0, "message": null, "data": {data}, "traceId": "{TRACE}"}}'
    assert in_order(answer.content) == in_order(envelope)


def test_documented_keys_come_in_the_documented_order() -> None:
    """The extra ones stand behind a record's, and among a detail's."""
    assert list(json.loads(RECORD_JSON))[: len(DOCUMENTED_RECORD)] == DOCUMENTED_RECORD
    assert [key for key in json.loads(DETAIL_JSON) if key in DOCUMENTED_DETAIL] == DOCUMENTED_DETAIL


async def test_the_documented_page_of_eight(serve: Serve) -> None:
    """``pageNumber`` 0 of eight records, one a page: answered as page 1 of 8."""
    service = await serve(*({**event, "recordId": f"run-{number}"} for number in range(8) for event in EVENTS[:2]))
    page = await service.page("page", TASK, 0, 1)
    assert [page[key] for key in ("pageNumber", "pageSize", "totalRecords", "totalPages")] == [1, 1, 8, 8]
    assert [record["id"] for record in page["records"]] == ["run-7"]


async def test_the_example_of_the_event_contract(serve: Serve) -> None:
    """From start to end of a run with one package."""
    ids = {"recordId": RECORD, "detailId": DETAIL}
    package = {"repoName": "npm-local", "repoType": "NPM", "packageKey": "npm://helloworld", "versions": ["1.1.0"]}
    done = {"total": 10, "success": 10, "skip": 0, "failed": 0}
    service = await serve(
        {"type": "detail.started", **ids, "eventTime": "2021-05-12T12:19:08.900Z", **package},
        {
            "type": "detail.progressed",
            **ids,
            "eventTime": "2021-05-12T12:19:20.001Z",
            "progress": {"blob": done | {"success": 4}, "node": None, "version": None, "totalSize": 4096},
        },
        {
            "type": "detail.finished",
            **ids,
            "eventTime": "2021-05-12T12:19:37.500Z",
            "status": "SUCCESS",
            "progress": {"blob": done, "node": None, "version": None, "totalSize": 10240},
        },
    )
    [detail] = await service.data("detail/list", RECORD)
    assert detail["packageConstraint"] == {"packageKey": "npm://helloworld", "versions": ["1.1.0"]}
    assert (detail["localRepoName"], detail["repoType"]) == ("npm-local", "NPM")
    assert (detail["progress"]["blob"], detail["progress"]["totalSize"]) == (done, 10240)
    assert (detail["startTime"], detail["endTime"]) == ("2021-05-12T12:19:08.900", "2021-05-12T12:19:37.500")
