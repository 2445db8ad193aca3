"""The commands that ask a query service, in a real terminal and in pipes, over a real service and its Redis."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from tests.support.query_service import event, write
from tests.support.services.process import free_port, wait_until
from tests.support.system import API, Process
from tests.support.terminal import COLOUR, SHOW_CURSOR, in_terminal, piped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 30.0
KEY = "team-a/nightly"
widths = pytest.mark.parametrize("columns", [80, 200])


class Store:
    """What a test writes to, and the query service over it."""

    def __init__(self, redis_url: str, prefix: str, folder: Path) -> None:
        self._redis_url, self._prefix = redis_url, prefix
        # A port of its own, so that the service comes back where it was.
        self.settings = {
            "REPLOG_REDIS_URL": redis_url,
            "REPLOG_REDIS_PREFIX": prefix,
            "REPLOG_API_PORT": str(free_port()),
            "REPLOG_API_DRAIN_S": "0",
            "REPLOG_LOG_FORMAT": "json",
        }
        self.api = Process(API, folder, self.settings)

    def write(self, *events: dict[str, Any]) -> None:
        """Store events as a collector does."""
        asyncio.run(write(self._redis_url, self._prefix, events))

    @property
    def variables(self) -> dict[str, str]:
        """What a user sets."""
        return {"REPLOG_API_URL": f"http://127.0.0.1:{self.settings['REPLOG_API_PORT']}", "TZ": "UTC"}


def started(record_id: str = "r", **fields: Any) -> dict[str, Any]:
    """The start of a run that has two details."""
    return event("record.started", recordId=record_id, taskKey=KEY, expectedDetails=2, **fields)


def finished(status: str = "SUCCESS", record_id: str = "r") -> dict[str, Any]:
    """The end of a run."""
    reason = {"errorReason": "1 of 2 details failed"} if status == "FAILED" else {}
    return event("record.finished", recordId=record_id, taskKey=KEY, at="2021-05-12T12:01:00Z", status=status, **reason)


def details() -> list[dict[str, Any]]:
    """One detail that succeeded and one that failed, to clusters of which one name begins with the other."""
    facts: dict[str, Any] = {"repoName": "npm-local", "packageKey": "npm://helloworld", "versions": ["1.0.0"]}
    later = "2021-05-12T12:00:30Z"
    reason = "dev answered 507 after 1234 bytes"
    return [
        event("detail.started", detailId="good", remoteCluster="dev2", **facts),
        event("detail.finished", detailId="good", at=later, status="SUCCESS"),
        event("detail.started", detailId="bad", remoteCluster="dev", **facts),
        event("detail.finished", detailId="bad", at=later, status="FAILED", errorReason=reason),
    ]


@pytest.fixture
def store(redis_url: str, redis_prefix: str, tmp_path: Path) -> Iterator[Store]:
    """A query service that knows a RUNNING record ``r`` with two finished details."""
    made = Store(redis_url, redis_prefix, tmp_path)
    made.write(started(), *details())
    made.api.start()
    yield made
    made.api.kill()


@widths
def test_tables_fit_the_terminal(store: Store, columns: int) -> None:
    """In colour, and no line is longer than the terminal is wide."""
    for arguments in (("ls",), ("ls", KEY), ("show", "r")):
        with in_terminal(*arguments, columns=columns, variables=store.variables) as terminal:
            assert terminal.end() == 0
        assert any("RUNNING" in line for line in terminal.lines)
        assert max(cell_len(line) for line in terminal.lines) <= columns
        assert COLOUR.search(terminal.received)


def test_no_color_switches_colours_off(store: Store) -> None:
    """On a terminal; in a pipe there is no escape at all."""
    with in_terminal("show", "r", variables={**store.variables, "NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
    assert not COLOUR.search(terminal.received)
    shown = piped("show", "r", **store.variables)
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout


def test_show_says_what_there_is_of_a_record(store: Store) -> None:
    """Roll-up, clusters, reasons and details."""
    shown = piped("show", "r", **store.variables).stdout
    assert "2/2, 100%" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("dev")][:2] == [
        ["dev", "1", "0", "0", "1"],
        ["dev2", "0", "0", "1", "1"],
    ]
    assert "dev answered <n> after <n> bytes" in shown
    assert "dev answered 507 after 1234 bytes" in shown
    assert "Details: 2 of 2" in shown


def test_show_explains_a_run_that_hangs(store: Store) -> None:
    """Since when nothing came, from which details, and how many never began; there is nothing to say once it ended."""
    store.write(
        event("record.progressed", recordId="r", taskKey=KEY, at="2021-05-12T12:00:20Z"),
        event("record.started", recordId="stuck", taskKey=KEY, expectedDetails=5),
        *(
            event("detail.started", recordId="stuck", detailId=name, remoteCluster=name, at=f"2021-05-12T12:00:{at}Z")
            for name, at in (("late", 40), ("early", 10))
        ),
    )
    shown = piped("show", "stuck", **store.variables).stdout
    assert "since 2021-05-12 12:00:40. 2 details are running. Of 5 expected details 3 never began." in shown
    table = shown[shown.index("Longest silent") :].splitlines()
    assert [line.split()[0] for line in table[1:4]] == ["Cluster", "early", "late"]
    finished_run = "All expected details have ended: only the end of the record is missing."
    assert finished_run in piped("show", "r", **store.variables).stdout
    store.write(finished())
    assert json.loads(piped("show", "r", "--json", **store.variables).stdout)["silent"] is None


def shown_details(store: Store, *options: str) -> list[str]:
    """The ids of the details that are shown."""
    found = json.loads(piped("show", "r", "--json", *options, **store.variables).stdout)
    return [detail["id"] for detail in found["details"]["records"]]


def test_filters_are_those_of_the_api(store: Store) -> None:
    """Cluster and repository are exact, package is a prefix; each filter reaches the API."""
    assert shown_details(store, "--failed") == ["bad"]
    assert shown_details(store, "--cluster", "dev") == ["bad"]
    assert shown_details(store, "--status", "success", "--repository", "npm-local", "--package", "npm://h") == ["good"]
    assert shown_details(store, "--path", "/x") == []


def test_lists_as_json(store: Store) -> None:
    """The page as the API answers it, and nothing else on stdout."""
    store.write(*(started(f"more-{number}", at=f"2021-05-12T11:00:0{number}Z") for number in range(3)))
    tasks = json.loads(piped("ls", "--json", "--prefix", "team-a/", **store.variables).stdout)
    assert [(row["taskKey"], row["record"]["id"]) for row in tasks["records"]] == [(KEY, "r")]
    records = json.loads(piped("ls", KEY, "--json", "--limit", "2", **store.variables).stdout)
    assert [row["id"] for row in records["records"]] == ["r", "more-2"]
    assert (records["totalRecords"], records["totalPages"]) == (4, 2)
    assert json.loads(piped("ls", "--json", "--prefix", "team-b/", **store.variables).stdout)["records"] == []


def test_a_limit_beyond_one_page_reads_several(store: Store) -> None:
    """The API's pages hold 1,000."""
    many = [event("detail.started", detailId=f"d{number}", remoteCluster="far") for number in range(1100)]
    store.write(*many)
    assert len(shown_details(store, "--cluster", "far", "--limit", "1050")) == 1050


@widths
def test_watch_shows_bars_to_the_end(store: Store, columns: int) -> None:
    """With a key: its newest run."""
    with in_terminal("watch", KEY, columns=columns, variables=store.variables) as terminal:
        terminal.wait_for("2/2, 100%")
        store.write(finished())
        terminal.wait_for("SUCCESS")
        assert terminal.end() == 0
    assert max(cell_len(line) for line in terminal.lines) <= columns
    assert "━" in terminal.received
    assert terminal.received.rindex(SHOW_CURSOR) > terminal.received.rindex("SUCCESS")


@pytest.mark.parametrize(
    ("status", "options", "code"),
    [
        ("FAILED", ["--exit-status"], 1),
        ("FAILED", [], 0),
        ("SUCCESS", ["--exit-status"], 0),
    ],
)
def test_the_exit_status_is_that_of_the_record(store: Store, status: str, options: list[str], code: int) -> None:
    """If asked for."""
    store.write(finished(status))
    watched = piped("watch", "r", *options, **store.variables)
    assert (watched.returncode, watched.stderr) == (code, "")
    (line,) = watched.stdout.splitlines()
    assert f"{status}, 2/2 details (100%), 1 failed" in line


def test_ctrl_c_ends_watching_only(store: Store) -> None:
    """Exit code 130, the cursor is there again, and no traceback."""
    with in_terminal("watch", "r", variables=store.variables) as terminal:
        terminal.wait_for("2/2, 100%")
        terminal.interrupt()
        terminal.wait_for("Stopped watching.")
        assert terminal.end() == 130
    assert SHOW_CURSOR in terminal.received
    assert "Traceback" not in terminal.received
    assert store.api.get("/livez").status_code == 200


def streams_of(api: Process) -> float:
    """The open streams of the service."""
    return api.metrics("replog_stream_clients").get("", 0.0)


def test_watch_costs_one_stream(store: Store) -> None:
    """No other request, as the service counts them."""
    with in_terminal("watch", "r", variables=store.variables) as terminal:
        terminal.wait_for("2/2, 100%")
        assert streams_of(store.api) == 1
        store.write(finished())
        assert terminal.end() == 0
    asked = store.api.metrics("replog_http_requests_total")
    assert {labels: count for labels, count in asked.items() if count and "/metrics" not in labels} == {
        'route="/replication/api/task/record/stream/{recordId}",status="200"': 1.0
    }


def test_watch_goes_on_when_the_service_comes_back(store: Store) -> None:
    """On the terminal the trouble is said."""
    with in_terminal("watch", "r", variables=store.variables) as terminal:
        terminal.wait_for("2/2, 100%")
        store.api.kill()
        terminal.wait_for("Connection lost")
        store.api.start()
        assert wait_until(lambda: streams_of(store.api) == 1, TIMEOUT_S)
        store.write(finished())
        terminal.wait_for("SUCCESS")
        assert terminal.end() == 0


def test_nothing_is_said_twice_when_the_service_comes_back(store: Store, tmp_path: Path) -> None:
    """The client sends the id of the last event, so an unchanged record gives no second snapshot."""
    with in_terminal("watch", "r", "--json", columns=2000, variables=store.variables) as terminal:
        terminal.wait_for('"event":"snapshot"')
        store.api.stop()
        store.api.start()
        assert wait_until(lambda: streams_of(store.api) == 1, TIMEOUT_S)
        store.write(finished())
        assert terminal.end() == 0
    assert [json.loads(line)["event"] for line in terminal.lines] == ["snapshot", "change", "end"]


def test_an_unknown_target_is_one_sentence(store: Store) -> None:
    """Of each command."""
    watched = piped("watch", "nobody", **store.variables)
    assert (watched.returncode, watched.stdout) == (1, "")
    assert watched.stderr == "there is no record nobody, and no task nobody with a record\n"
    for arguments in (("show", "nobody"), ("export", "nobody")):
        shown = piped(*arguments, **store.variables)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert len(shown.stderr.splitlines()) == 1
        assert "nobody" in shown.stderr


def test_exports_are_whole(store: Store, tmp_path: Path) -> None:
    """CSV and NDJSON, to stdout and into a file, with filters."""
    rows = list(csv.DictReader(io.StringIO(piped("export", "r", **store.variables).stdout.removeprefix("\ufeff"))))
    assert [row["id"] for row in rows] == ["good", "bad"]
    file = tmp_path / "failed.ndjson"
    exported = piped("export", "r", "--format", "ndjson", "--failed", "--output", str(file), **store.variables)
    assert (exported.returncode, exported.stdout) == (0, "")
    assert exported.stderr.startswith(f"1 details exported to {file}")
    first, last = map(json.loads, file.read_text().splitlines())
    assert (first["id"], last) == ("bad", {"rows": 1})
    assert [entry.name for entry in tmp_path.glob("*failed*")] == ["failed.ndjson"]


def test_tokens(redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
    """None, a wrong one, and one that may not."""
    store = Store(redis_url, redis_prefix, tmp_path)
    store.write(started())
    digest = hashlib.sha256(b"good").hexdigest()
    limited = hashlib.sha256(b"limited").hexdigest()
    store.api = Process(API, tmp_path, {**store.settings, "REPLOG_API_TOKENS": f"a:{digest},b:{limited}:team-b/"})
    store.api.start()
    try:
        for token, part in ((None, "requires a token"), ("bad", "does not accept"), ("limited", "does not let")):
            asked = piped("show", "r", **store.variables, **({"REPLOG_API_TOKEN": token} if token else {}))
            assert asked.returncode == 1
            assert part in asked.stderr
            assert "set REPLOG_API_TOKEN to one" in asked.stderr
        assert piped("show", "r", REPLOG_API_TOKEN="good", **store.variables).returncode == 0
    finally:
        store.api.kill()


@pytest.mark.parametrize("arguments", [("ls",), ("show", "r"), ("watch", "r"), ("export", "r")])
def test_no_service_is_one_sentence(arguments: tuple[str, ...]) -> None:
    """It names the variable."""
    asked = piped(*arguments, REPLOG_API_URL=f"http://127.0.0.1:{free_port()}")
    (line,) = asked.stderr.splitlines()
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "(Connection refused); set REPLOG_API_URL to its address" in line


@pytest.mark.parametrize("verb", ["up", "ls", "show", "watch", "export", "publish", "doctor", "lag"])
def test_help_shows_an_example(verb: str) -> None:
    """That a user can copy."""
    assert f"Example: replog {verb} " in piped(verb, "--help").stdout
