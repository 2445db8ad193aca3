"""What dashboards show beside pages, about a seeded stream with awkward names: it is what the oracle says."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from replog_api.contracts import schemas
from tests.support.api.tokens import ALL, MINE, TOKENS, bearer
from tests.support.query_service import BASE, event, in_order, page_of, path_of, serving, write
from tests.support.services.redis import remove_keys
from tests.support.streams import AWKWARD_IDS, CLUSTERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.api.served import Awkward, Serve
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
    for record_id in AWKWARD_IDS:
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


async def test_reasons(awkward: Awkward) -> None:
    """Of every record, all or the most frequent."""
    for record_id in AWKWARD_IDS:
        for limit in (1, 100):
            expected = awkward.model.reasons(record_id, limit)
            await awkward.service.is_answered(expected, "detail/reasons", record_id, limit=limit)


async def test_reasons_are_the_same_but_for_numbers_and_hashes(serve: Serve) -> None:
    """Most failed first; with the newest of the details, and all clusters."""
    reasons = [
        ("d1", "dev", "dev answered 507 after 1200 ms"),
        ("d2", "dev2", "dev answered 503 after 30 ms"),
        ("d3", "dev", "blob 9f86d081884c7d65 is missing"),
        ("d4", "dev", "blob E3B0C44298FC1C14 is missing"),
        ("d5", None, "dev answered 5 after 0 ms"),
        ("d6", "dev", None),
        ("d7", "dev", "<script>alert(1)</script> \u202e=1"),
        ("d8", "dev", "session 123e4567-e89b-12d3-a456-426614174000 ended at 0xDEAD"),
    ]
    events = [
        event(
            "detail.finished",
            at=f"2021-05-12T12:00:0{name[1]}Z",
            detailId=name,
            remoteCluster=cluster,
            status="FAILED",
            errorReason=reason,
        )
        for name, cluster, reason in reasons
    ]
    service = await serve(*events, event("detail.finished", detailId="fine", status="SUCCESS"))
    rows = [
        ("dev answered <n> after <n> ms", 3, ["", "dev", "dev2"], "d5"),
        ("blob <n> is missing", 2, ["dev"], "d4"),
        ("<script>alert(<n>)</script> \u202e=<n>", 1, ["dev"], "d7"),
        ("session <n> ended at <n>", 1, ["dev"], "d8"),
        (None, 1, ["dev"], "d6"),
    ]
    names = ("errorReason", "failed", "remoteClusters", "detailId")
    expected: dict[str, Any] = {
        "failed": 8,
        "examined": 8,
        "reasons": [dict(zip(names, row, strict=True)) for row in rows],
    }
    await service.is_answered(expected, "detail/reasons", "r")
    await service.is_answered({**expected, "reasons": expected["reasons"][:2]}, "detail/reasons", "r", limit=2)


async def test_silent_details(awkward: Awkward) -> None:
    """Of every record, all or the longest silent."""
    for record_id in AWKWARD_IDS:
        for limit in (1, 3, 100):
            expected = awkward.model.silent_details(record_id, limit)
            await awkward.service.is_answered(expected, "detail/silent", record_id, limit=limit)


async def test_a_run_that_hangs_is_explained(serve: Serve) -> None:
    """Since when, from which, and what never came; longest silent first, whatever started first."""
    at = {minute: f"2021-05-12T12:{minute:02d}:00Z" for minute in range(60)}
    progress = {"blob": {"total": 2, "success": 1}}
    service = await serve(
        event("record.started", at=at[0], expectedDetails=7),
        event("detail.started", detailId="a", at=at[1]),
        event("detail.progressed", detailId="a", at=at[9], progress=progress),
        event("detail.started", detailId="b", at=at[2]),
        event("detail.started", detailId="c", at=at[3]),
        event("detail.finished", detailId="c", at=at[10], status="SUCCESS"),
        event("detail.started", detailId="d", at=at[2]),
    )
    found = await service.data("detail/silent", "r")
    assert [(row["id"], row["lastEventTime"][14:16]) for row in found.pop("details")] == [
        ("b", "02"),
        ("d", "02"),
        ("a", "09"),
    ]
    assert found == {
        "lastActivityTime": "2021-05-12T12:10:00.000",
        "expected": 7,
        "missing": 3,
        "running": 3,
        "examined": 3,
    }
    assert [row["id"] for row in (await service.data("detail/silent", "r", limit=1))["details"]] == ["b"]


async def test_a_record_whose_details_alone_were_seen_waits_for_them(serve: Serve) -> None:
    """And one that sent more than it said lacks none."""
    service = await serve(
        event("detail.started", recordId="orphan"),
        event("record.started", recordId="more", expectedDetails=1),
        *(event("detail.started", recordId="more", detailId=name) for name in "ab"),
    )
    orphan = await service.data("detail/silent", "orphan")
    assert (orphan["running"], orphan["expected"], orphan["missing"]) == (1, None, None)
    assert orphan["lastActivityTime"] is not None
    assert (await service.data("detail/silent", "more"))["missing"] == 0


@pytest.mark.parametrize("silent_for_s", [1, 900, 10**8, 2**31 - 1])
async def test_silent_records(awkward: Awkward, silent_for_s: int) -> None:
    """All of them, first to past the end; longest silent first."""
    rows = awkward.model.silent(silent_for_s)
    assert (len(rows) > 10) == (silent_for_s < 10**9)
    for number, size in ((0, 1), (2, 3), (1, 1000), (9, 1000)):
        query = [("silentForS", silent_for_s), ("pageNumber", number), ("pageSize", size)]
        answer = await ask(awkward.service, "silent", query)
        assert answer.headers["x-total-count"] == str(len(rows))
        assert f"silentForS={silent_for_s}" in answer.headers["link"]
        assert in_order(answer.content)[2] == ("data", in_order(json.dumps(page_of(rows, number, size))))
        schemas.Envelope[schemas.SilentPage].model_validate_json(answer.content)


async def silent_ids(service: QueryService, silent_for_s: int, secret: str = "", prefix: str = "") -> list[str]:
    query = [("silentForS", silent_for_s), ("pageNumber", 1), ("pageSize", 100), ("prefix", prefix)]
    data = (await ask(service, "silent", query, **(bearer(secret) if secret else {}))).json()["data"]
    assert data["totalRecords"] == len(data["records"])
    return [row["record"]["id"] for row in data["records"]]


async def test_a_record_is_silent_as_long_as_all_of_it_is(serve: Serve) -> None:
    """Neither one whose details move, nor one that is finished; one comes as time goes by."""
    now = datetime.now(UTC)
    ago = {seconds: (now - timedelta(seconds=seconds)).isoformat() for seconds in (0, 500, 2000, 3000)}
    service = await serve(
        event("record.started", recordId="moving", at=ago[3000]),
        event("detail.started", recordId="moving", at=ago[0]),
        event("record.started", recordId="slow", at=ago[3000]),
        event("detail.started", recordId="slow", at=ago[500]),
        event("record.started", recordId="silent", at=ago[3000]),
        event("detail.started", recordId="silent", at=ago[2000]),
        event("record.started", recordId="alone", at=ago[3000]),
        event("record.started", recordId="done", at=ago[3000]),
        event("record.finished", recordId="done", at=ago[2000], status="FAILED"),
        event("detail.started", recordId="done", at=ago[2000]),
        event("detail.started", recordId="nobody", at=ago[3000]),
    )
    assert await silent_ids(service, 900) == ["alone", "silent"]
    assert await silent_ids(service, 300) == ["alone", "silent", "slow"]
    assert await silent_ids(service, 10_000) == []
    query = [("pageNumber", 1), ("pageSize", 1)]
    first = await ask(service, "silent", query)
    assert first.json()["data"]["records"][0]["record"]["stale"] is True
    known = {"If-None-Match": first.headers["etag"]}
    assert (await ask(service, "silent", query, **known)).status_code == 304
    await serve(event("record.progressed", recordId="alone", at=ago[0]))
    assert (await ask(service, "silent", query, **known)).json()["data"]["records"][0]["record"]["id"] == "silent"


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
    for record_id in AWKWARD_IDS:
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


async def test_what_nobody_knows_is_empty(service: QueryService) -> None:
    """As of lists."""
    await service.is_answered([], "detail/counts", "nobody")
    await service.is_answered({"failed": 0, "examined": 0, "reasons": []}, "detail/reasons", "nobody")
    nothing = dict.fromkeys(("lastActivityTime", "expected", "missing"))
    await service.is_answered({**nothing, "running": 0, "examined": 0, "details": []}, "detail/silent", "nobody")
    assert await silent_ids(service, 1) == []
    assert lines_of(await exported(service, "nobody", "ndjson", status="FAILED")) == [(("rows", 0),)]
    assert len(cells_of(await exported(service, "nobody", "csv"))) == 1


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        *(("detail/counts/r", "by", value) for value in ("task", "Cluster", "cluster,pair")),
        *(("detail/export/r", "format", value) for value in ("xlsx", "CSV")),
        ("detail/export/r", "status", "DONE"),
        *(("detail/reasons/r", "limit", value) for value in ("0", "101", "x")),
        *(("detail/silent/r", "limit", value) for value in ("0", "101", "x")),
        *(("../silent?pageNumber=1&pageSize=1", "silentForS", value) for value in ("0", "-1", "x", "2147483648")),
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


async def test_a_limited_token_knows_silent_records_of_its_own_tasks(limited: QueryService) -> None:
    """They alone count."""
    assert await silent_ids(limited, 900, MINE) == ["m"]
    assert await silent_ids(limited, 900, ALL) == ["m", "o"]


async def test_silent_records_can_be_narrowed_to_tasks_under_a_prefix(limited: QueryService) -> None:
    """Beyond its own tasks a limited token gets 403."""
    assert await silent_ids(limited, 900, ALL, "mine/") == ["m"]
    assert await silent_ids(limited, 900, MINE, "mine/t") == ["m"]
    assert await silent_ids(limited, 900, MINE, "mine/u") == []
    query = [("pageNumber", 1), ("pageSize", 1), ("prefix", "others")]
    assert (await ask(limited, "silent", query, **bearer(MINE))).status_code == 403


@pytest.mark.parametrize("endpoint", ["detail/counts", "detail/reasons", "detail/silent", "detail/export"])
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
    f"{BASE}/detail/reasons/r",
    f"{BASE}/detail/silent/r",
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
        event("detail.finished", detailId="f", at="2021-05-12T12:00:01Z", status="FAILED"),
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
        path_of("detail/export", "r", "format=ndjson"), headers={"X-BKREPO-TIME-ZONE": "+8"}
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
