"""What dashboards show beside pages, about a seeded stream with awkward names: it is what the oracle says."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from replog_api.contracts import schemas
from tests.support.query_service import BASE, event, in_order, path_of, serving, write
from tests.support.services.redis import remove_keys
from tests.support.streams import AWKWARD_IDS, CLUSTERS
from tests.support.tokens import ALL, MINE, TOKENS, bearer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.integration.api.conftest import Awkward, Serve
    from tests.support.query_service import QueryService

pytestmark = pytest.mark.every_topology

TASKS = BASE.removesuffix("/record")
GROUPINGS = ("cluster", "repository", "pair")
#: Filters of every kind, alone and together.
FILTERS: list[dict[str, str]] = [
    {},
    {"status": "FAILED"},
    {"status": "RUNNING", "clusterName": "dev"},
    {"remoteCluster": "dev"},
    {"remoteCluster": "测试", "localRepoName": "npm"},
    {"repoName": "npm"},
    {"packageName": "a"},
    {"packageName": "npm://"},
    {"path": "a", "version": "1.0"},
    {"packageName": "a", "artifactName": "a", "status": "SUCCESS"},
    {"version": "1.0.0", "clusterName": "d"},
    {"artifactName": "nowhere"},
]


async def ask(service: QueryService, name: str, query: list[tuple[str, Any]], **headers: str) -> httpx.Response:
    """An endpoint beside those of records."""
    return await service.client.get(f"{TASKS}/{name}?{urlencode(query)}", headers=headers)


async def exported(service: QueryService, record_id: str, kind: str, **filters: str) -> httpx.Response:
    """A good export, which is a file of its own and no envelope."""
    answer = await service.get("detail/export", record_id, format=kind, **filters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith('attachment; filename="record-')
    assert answer.headers["content-disposition"].isascii()
    return answer


def cells_of(answer: httpx.Response) -> list[list[str]]:
    """What a spreadsheet reads."""
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def lines_of(answer: httpx.Response) -> list[Any]:
    """All lines, with the order of their keys."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.content.endswith(b"\n")
    # Not by splitlines, which knows ends of lines that JSON does not.
    return [in_order(line) for line in answer.content[:-1].split(b"\n")]


@pytest.mark.parametrize("by", GROUPINGS)
async def test_counts(awkward: Awkward, by: str) -> None:
    """Of every record, by everything, of each cluster and of all."""
    for record_id in awkward.model.record_ids:
        await awkward.service.is_answered(awkward.model.counts(record_id, by), "detail/counts", record_id, by=by)
        for cluster in CLUSTERS:
            expected = awkward.model.counts(record_id, by, cluster)
            await awkward.service.is_answered(
                expected, "detail/counts", record_id, by=by, remoteCluster=cluster, pageSize="x"
            )


async def test_counts_add_up_to_the_overview(awkward: Awkward) -> None:
    """Whatever they are counted by; ``cluster`` where nothing is said."""
    for record_id in awkward.model.record_ids:
        overview = await awkward.service.data("overview", record_id)
        for by in GROUPINGS:
            counts = await awkward.service.data("detail/counts", record_id, by=by)
            for name in ("success", "failed", "running", "total"):
                assert sum(row[name] for row in counts) == overview[name]
        by_cluster = await awkward.service.data("detail/counts", record_id, by="cluster")
        assert by_cluster == await awkward.service.data("detail/counts", record_id)


async def test_a_cluster_is_not_another_that_begins_like_it(serve: Serve) -> None:
    """As ``dev`` and ``dev2``, whose numbers stay apart; one detail may also move from one to the other."""
    service = await serve(
        *(event("detail.started", detailId=f"a{n}", remoteCluster="dev", repoName="npm") for n in range(2)),
        *(event("detail.started", detailId=f"b{n}", remoteCluster="dev2", repoName="npm") for n in range(3)),
        event("detail.finished", detailId="b0", at="2021-05-12T12:00:01Z", status="FAILED"),
        event("detail.started", detailId="b1", at="2021-05-12T12:00:01Z", attempt=1, remoteCluster="dev"),
    )

    def row(cluster: str | None, repo: str | None, *numbers: int) -> dict[str, Any]:
        names = ("remoteCluster", "localRepoName", "success", "failed", "running", "total")
        return dict(zip(names, (cluster, repo, *numbers, sum(numbers)), strict=True))

    dev2, dev = row("dev2", None, 0, 1, 1), row("dev", None, 0, 0, 3)
    await service.is_answered([dev2, dev], "detail/counts", "r", by="cluster")
    await service.is_answered([dev], "detail/counts", "r", remoteCluster="dev")
    await service.is_answered(
        [row("dev", "npm", 0, 0, 2), row("dev", "", 0, 0, 1)][::-1],
        "detail/counts",
        "r",
        by="pair",
        remoteCluster="dev",
    )
    await service.is_answered(
        [row(None, "npm", 0, 1, 3), row(None, "", 0, 0, 1)], "detail/counts", "r", by="repository"
    )
    assert lines_of(await exported(service, "r", "ndjson", remoteCluster="dev2"))[-1] == (("rows", 2),)


@pytest.mark.parametrize("last", [1, 3, 20, 250])
async def test_runs(awkward: Awkward, last: int) -> None:
    """Of known and unknown tasks, in the order asked, one of them twice."""
    keys = ["nobody knows this one", *reversed(awkward.model.task_keys), awkward.model.task_keys[0]]
    answer = await ask(awkward.service, "runs", [*(("key", key) for key in keys), ("last", last)])
    assert in_order(answer.content)[2] == ("data", in_order(json.dumps(awkward.model.runs(keys, last))))
    schemas.Envelope[list[schemas.TaskRuns]].model_validate_json(answer.content)


async def test_runs_are_twenty_where_nothing_is_said(awkward: Awkward) -> None:
    answer = await ask(awkward.service, "runs", [("key", "plain"), ("last", "")])
    assert answer.json()["data"] == awkward.model.runs(["plain"], 20)
    assert len(answer.json()["data"][0]["runs"]) == 20


@pytest.mark.parametrize(("keys", "last", "status"), [(100, 20, 200), (101, 20, 400), (1, 2000, 200), (2000, 1, 200)])
async def test_runs_are_not_too_many(awkward: Awkward, keys: int, last: int, status: int) -> None:
    """Keys times ``last`` are 2,000 at most; the message names the parameter."""
    answer = await ask(awkward.service, "runs", [*[("key", "k")] * keys, ("last", last)])
    assert answer.status_code == status
    if status == 400:
        body = answer.json()
        assert (body["code"], body["data"]) == (250131, None)
        assert body["message"] == "last is 20 and there are 101 keys; allowed with as many: an integer from 1 to 19"


@pytest.mark.parametrize("filters", FILTERS, ids=str)
async def test_exports(awkward: Awkward, filters: dict[str, str]) -> None:
    """Of every record, in both formats, with every kind of filter."""
    for record_id in awkward.model.record_ids:
        lines = lines_of(await exported(awkward.service, record_id, "ndjson", **filters))
        assert lines == [in_order(json.dumps(line)) for line in awkward.model.lines(record_id, **filters)]
        cells = cells_of(await exported(awkward.service, record_id, "csv", **filters))
        assert cells == awkward.model.cells(record_id, **filters)


async def test_an_export_is_csv_where_nothing_is_said(awkward: Awkward) -> None:
    """Its name has nothing that a file's may not have, whatever the record is called."""
    for record_id in AWKWARD_IDS:
        answer = await awkward.service.get("detail/export", record_id)
        assert cells_of(answer) == awkward.model.cells(record_id)
        schemas.ExportEnd.model_validate_json(
            (await exported(awkward.service, record_id, "ndjson")).content.split(b"\n")[-2]
        )
    name = (await awkward.service.get("detail/export", "with/slash")).headers["content-disposition"]
    assert name == 'attachment; filename="record-with_slash.csv"'


HOSTILE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    '"; =1',
    "a,b\r\nc",
    "<script>alert(1)</script>",
    "\u202etxt.exe",
)


async def test_what_a_spreadsheet_would_run_is_text(serve: Serve) -> None:
    """And what would break a line or leave a cell stays in it."""
    details = [
        event(
            "detail.finished",
            detailId=text,
            repoName=text,
            path=text,
            status="FAILED",
            errorReason=text,
            versions=[text],
            packageName=text,
        )
        for text in HOSTILE
    ]
    service = await serve(event("record.started"), *details)
    rows = cells_of(await exported(service, "r", "csv"))
    assert {len(row) for row in rows} == {len(rows[0])}
    shown = {row[0] for row in rows[1:]}
    assert shown == {f"'{text}" if text[0] in "=+-@\t\r" else text for text in HOSTILE}
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]
    versions = rows[0].index("packageConstraint.versions")
    assert sorted(json.loads(row[versions])[0] for row in rows[1:]) == sorted(HOSTILE)


@pytest.mark.parametrize("path", ["detail/counts", "detail/export"])
async def test_what_nobody_knows_is_empty(service: QueryService, path: str) -> None:
    """As of lists."""
    if path == "detail/counts":
        await service.is_answered([], path, "nobody")
        return
    assert lines_of(await exported(service, "nobody", "ndjson", status="FAILED")) == [(("rows", 0),)]
    assert len(cells_of(await exported(service, "nobody", "csv"))) == 1


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        *(("detail/counts/r", "by", value) for value in ("task", "Cluster", "cluster,pair")),
        *(("detail/export/r", "format", value) for value in ("xlsx", "CSV")),
        ("detail/export/r", "status", "DONE"),
        *(("../runs?key=t", "last", value) for value in ("0", "2001", "x", "-1", "1.5")),
    ],
)
async def test_a_wrong_parameter_is_named(service: QueryService, path: str, parameter: str, value: str) -> None:
    """With its value, in both languages."""
    for language in ("en", "zh"):
        answer = await service.client.get(
            f"{BASE}/{path}{'&' if '?' in path else '?'}{parameter}={value}".replace("/record/../", "/"),
            headers={"Accept-Language": language},
        )
        assert (answer.status_code, answer.json()["code"]) == (400, 250131)
        assert parameter in answer.json()["message"]
        assert repr(value) in answer.json()["message"]
        assert answer.headers["content-language"] == language


@pytest.fixture
async def limited(redis_url: str, redis_prefix: str) -> AsyncIterator[QueryService]:
    """Record m is mine, o is others'."""
    events = [
        event("record.started", recordId="m", taskKey="mine/t"),
        event("record.started", recordId="o", taskKey="others"),
        *(event("detail.finished", recordId=record_id, status="FAILED") for record_id in ("m", "o")),
    ]
    await write(redis_url, redis_prefix, events)
    async with serving(redis_url, redis_prefix, api_tokens=TOKENS) as running:
        yield running


@pytest.mark.parametrize("endpoint", ["detail/counts", "detail/export"])
async def test_a_limited_token_reads_its_own_records(limited: QueryService, endpoint: str) -> None:
    """What it may not read and what does not exist look the same."""
    for record_id, status in (("m", 200), ("o", 403), ("nobody", 403)):
        answer = await limited.client.get(path_of(endpoint, record_id), headers=bearer(MINE))
        assert answer.status_code == status
        assert (await limited.client.get(path_of(endpoint, record_id), headers=bearer(ALL))).status_code == 200


async def test_a_limited_token_reads_runs_of_its_own_tasks(limited: QueryService) -> None:
    """Of all that are asked."""
    good = await ask(limited, "runs", [("key", "mine/t"), ("key", "mine/no")], **bearer(MINE))
    assert [task["totalRecords"] for task in good.json()["data"]] == [1, 0]
    assert (await ask(limited, "runs", [("key", "mine/t"), ("key", "others")], **bearer(MINE))).status_code == 403


PATHS = [
    f"{BASE}/detail/counts/r?by=pair",
    f"{BASE}/detail/export/r?format=csv",
    f"{BASE}/detail/export/r?format=ndjson&status=RUNNING",
    f"{TASKS}/runs?key=t&key=u",
]


@pytest.mark.parametrize("path", PATHS)
async def test_what_has_not_changed_is_not_said_again(serve: Serve, path: str) -> None:
    """But what has; in another zone it is another answer, where it has times."""
    service = await serve(event("record.started"), event("detail.started"))
    first = await service.client.get(path)
    known = {"If-None-Match": first.headers["etag"]}
    again = await service.client.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert "x-replog-as-of" in again.headers
    elsewhere = await service.client.get(path, headers=known | {"X-BKREPO-TIME-ZONE": "Asia/Shanghai"})
    assert (elsewhere.status_code, elsewhere.headers["x-bkrepo-time-zone"]) == (200, "+0800")
    await serve(
        event("detail.started", detailId="e", at="2021-05-12T12:00:01Z"),
        event("record.started", recordId="s", at="2021-05-12T12:00:01Z"),
    )
    changed = await service.client.get(path, headers=known)
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert changed.content != first.content


async def test_times_are_in_the_zone_that_is_asked_for(serve: Serve) -> None:
    service = await serve(event("record.started", at="2021-05-12T12:00:00.5Z"), event("detail.started"))
    runs = await ask(service, "runs", [("key", "t")], **{"X-BKREPO-TIME-ZONE": "+8"})
    assert runs.json()["data"][0]["runs"][0]["startTime"] == "2021-05-12T20:00:00.500"
    answer = await service.client.get(
        path_of("detail/export", "r") + "?format=ndjson", headers={"X-BKREPO-TIME-ZONE": "+8"}
    )
    assert json.loads(answer.content.split(b"\n")[0])["startTime"] == "2021-05-12T20:00:00.000"


async def test_a_task_that_was_emptied_and_filled_again_is_another(
    serve: Serve, redis_url: str, redis_prefix: str
) -> None:
    """Though its list counts from the start again."""
    service = await serve(event("record.started"))
    path = f"{TASKS}/runs?key=t"
    first = await service.client.get(path)
    remove_keys(redis_url, redis_prefix)
    await serve(event("record.started", recordId="another"))
    again = await service.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.json()["data"][0]["runs"][0]["id"] == "another"
