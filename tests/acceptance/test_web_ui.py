"""The requests of the API's real web page, as a browser sends them, and what the page reads of the answers.

The page is bk-repo's: it asks before it knows its user's zone, and shows what it gets without a look for nulls.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.query_service import event, write
from tests.support.services.plain_http import NO_TLS
from tests.support.services.redis import remove_keys
from tests.support.system import API, RECORDS, Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TIMEOUT_S = 20.0
START = "2021-05-12T12:19:08.813"
EVENTS = [
    event("record.started", at=f"{START}Z", replicaType="REAL_TIME", replicaObjectType="PACKAGE"),
    event("record.finished", at="2021-05-12T12:20:00Z", status="FAILED", errorReason="1 of 2 details failed"),
    event(
        "detail.finished",
        at=f"{START}Z",
        detailId="full",
        status="SUCCESS",
        localCluster="center",
        remoteCluster="dev",
        repoName="npm-local",
        repoType="npm",
        packageKey="npm://helloworld",
        version="1.1.0",
        conflictStrategy="overwrite",
        progress={"blob": {"success": 30, "skip": 4}, "version": {"success": 1, "skip": 2, "failed": 3}},
    ),
    event("detail.progressed", at=f"{START}Z", detailId="bare", progress={"totalSize": 7}),
    event("record.progressed", at=f"{START}Z", recordId="unseen", taskKey="t"),
]
#: What the clients' own classes take no null for, and the type that they read.
RECORD = {"id": str, "taskKey": str, "status": str, "startTime": str}
DETAIL = {
    **dict.fromkeys(("id", "recordId", "localCluster", "remoteCluster", "localRepoName", "repoType"), str),
    "status": str,
    "progress": dict,
    "startTime": str,
}
PROGRESS = dict.fromkeys(("success", "skip", "failed", "totalSize"), int)
OVERVIEW = dict.fromkeys(("success", "failed", "conflict"), int)
REPOSITORY_TYPES = {"GENERIC", "NPM"}


@pytest.fixture(scope="module")
def api(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A query service over these events; no test here writes."""
    prefix = f"replog-test-{uuid.uuid4().hex}"
    asyncio.run(write(redis_url, prefix, EVENTS))
    variables = {"REPLOG_REDIS_URL": redis_url, "REPLOG_REDIS_PREFIX": prefix, "REPLOG_API_PORT": "0"}
    process = Process(API, tmp_path_factory.mktemp("api"), variables)
    process.start()
    yield process
    process.kill()
    remove_keys(redis_url, prefix)


class Page:
    """The web page in a browser whose zone is so many hours east of UTC."""

    def __init__(self, api: Process, hours: str) -> None:
        self._url = f"{api.url}{RECORDS}"
        self._headers = {
            "Accept": "application/json, text/plain, */*",
            "Accept-Encoding": "gzip, deflate, br, zstd",
            "Accept-Language": "zh-CN,zh;q=0.9",
            "Cookie": "bk_uid=admin; bkrepo_ticket=eyJhbGciOiJIUzI1NiJ9.e30.x; blueking_language=zh-cn",
            "Referer": f"{api.url}/ui/default/planManage",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": "same-origin",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
            "X-BKREPO-PROJECT-ID": "default",
            "X-BKREPO-TIME-ZONE": hours,
            "X-BKREPO-UID": "admin",
            "X-CSRFToken": "0123456789abcdef",
            "X-Requested-With": "XMLHttpRequest",
        }

    def ask(self, path: str) -> httpx.Response:
        """An answer."""
        return httpx.get(f"{self._url}{path}", headers=self._headers, timeout=TIMEOUT_S, verify=NO_TLS)

    def get(self, path: str) -> Any:
        """The data of an answer, which the page takes for good by its status."""
        answer = self.ask(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


def has(row: dict[str, Any], fields: Mapping[str, type]) -> None:
    """Require each field, of its type."""
    for name, kind in fields.items():
        assert type(row[name]) is kind, f"{name} is {row[name]!r}"


@pytest.mark.parametrize(("hours", "minutes"), [("8", 480), ("0", 0), ("5.5", 330), ("-3.5", -210)])
def test_every_screen_has_its_rows(api: Process, hours: str, minutes: int) -> None:
    """In the browser's zone, with all that the page shows."""
    page = Page(api, hours)
    start = (datetime.fromisoformat(START) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")

    records = page.get("/page/t?pageNumber=1&pageSize=20&status=")
    assert {row["id"] for row in records["records"]} == {"r", "unseen"}
    for row in records["records"]:
        has(row, RECORD)
        has(row["replicaOverview"], OVERVIEW)
        assert row["startTime"] == start

    empty = "status=&packageName=&repoName=&clusterName=&path=&artifactName=&version="
    details = page.get(f"/detail/page/r?pageNumber=1&pageSize=20&{empty}")
    assert details["totalRecords"] == 2
    for row in details["records"]:
        has(row, DETAIL)
        has(row["progress"], PROGRESS)
        assert row["repoType"] in REPOSITORY_TYPES
        assert row["startTime"] == start
    bare, full = sorted(details["records"], key=lambda row: str(row["id"]))
    assert [bare[name] for name in ("localCluster", "remoteCluster", "localRepoName")] == ["", "", ""]
    assert [full["progress"][name] for name in ("success", "skip", "failed")] == [1, 2, 3]
    assert full["packageConstraint"] == {"packageKey": "npm://helloworld", "versions": ["1.1.0"]}
    assert full["conflictStrategy"] == "OVERWRITE"

    overview = page.get("/overview/r")
    has(overview, OVERVIEW)
    assert (overview["success"], overview["running"], overview["skip"], overview["conflict"]) == (1, 1, 2, 1)


def test_a_record_says_what_its_task_replicates(api: Process) -> None:
    """Also where its start was not seen: the page chooses its columns by that."""
    page = Page(api, "8")
    for record_id, types in (("r", ("PACKAGE", "REAL_TIME")), ("unseen", ("REPOSITORY", "SCHEDULED"))):
        run = page.get(f"/{record_id}")
        assert (run["replicaObjectType"], run["replicaType"]) == types
        has(run["record"], RECORD)


def test_a_filter_narrows_the_rows(api: Process) -> None:
    """As the page sends what its user typed."""
    page = Page(api, "8")
    query = "pageNumber=1&pageSize=20&status=SUCCESS&packageName=npm%3A%2F%2Fhello&repoName=npm&clusterName=de"
    assert [row["id"] for row in page.get(f"/detail/page/r?{query}")["records"]] == ["full"]
    assert page.get("/detail/page/r?pageNumber=1&pageSize=20&status=FAILED&clusterName=")["records"] == []


def test_an_error_is_told_in_the_user_s_language(api: Process) -> None:
    """With a status that the page takes for an error."""
    answer = Page(api, "8").ask("/no-such-record")
    assert (answer.status_code, answer.json()["code"]) == (400, 250310)
    assert answer.json()["message"].startswith("未找到")
