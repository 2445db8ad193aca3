"""``replog up`` as a user runs it: a real process, with everything it starts."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from replog_cli.announcement import READY
from replog_local.workers import STOPPED
from tests.support.services.process import wait_until
from tests.support.terminal import COLOUR, SHOW_CURSOR, in_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
READABLE_TIMEOUT_S = 30.0
RECORDS = "/replication/api/task/record"


class LocalStack:
    """One ``replog up``; what it prints is in ``output``."""

    def __init__(self, data: Path, *options: str) -> None:
        self._data = data
        self._options = options
        self._output = data.parent / f"{data.name}.output"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """What was printed so far."""
        return self._output.read_text()

    @property
    def api_url(self) -> str:
        """Where the API listens, as printed."""
        return self._printed(r"API +\| (http://\S+)")

    @property
    def kafka(self) -> str:
        """Where the broker listens, as printed."""
        return self._printed(r"REPLOG_KAFKA_BOOTSTRAP_SERVERS=(\S+)")

    @property
    def demo_url(self) -> str:
        """What the printed curl line asks for."""
        return self._printed(r"curl -s '(\S+)'")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The parent process."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it, and return once it says that it is ready."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*replog("up", "--data", str(self._data), "--port", "0"), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(lambda: READY in self.output or self.process.poll() is not None, START_TIMEOUT_S)
        assert READY in self.output, self.output

    def interrupt(self) -> int:
        """Do what Ctrl-C does; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            self.interrupt()

    def _printed(self, pattern: str) -> str:
        found = re.search(pattern, self.output)
        assert found, self.output
        return found[1]


def replog(*arguments: str) -> list[str]:
    """The ``replog`` command, without relying on PATH."""
    return [sys.executable, "-m", "replog_cli.main", *arguments]


def data_of(url: str) -> Any:
    """The ``data`` of the answer, which has to be a good one."""
    answer = httpx.get(url)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()["data"]


def wait_for_data(url: str) -> Any:
    """The ``data`` at ``url`` once there is some."""
    assert wait_until(lambda: bool(data_of(url)), READABLE_TIMEOUT_S), f"nothing to read at {url}"
    return data_of(url)


def children_of(pid: int) -> list[int]:
    """The processes whose parent is ``pid`` (Linux)."""
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _state(stat)[1] == str(pid)]


def is_running(pid: int) -> bool:
    """Whether the process is there, and more than a zombie (Linux)."""
    return _state(Path(f"/proc/{pid}/stat"))[0] not in {"", "Z"}


def _state(stat: Path) -> tuple[str, str]:
    try:
        state, parent = stat.read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return "", ""
    return state, parent


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running stack without simulated workers, shared by the tests that leave it running."""
    running = LocalStack(tmp_path_factory.mktemp("stack") / "data")
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A running stack of one test."""
    running = LocalStack(tmp_path / "data")
    try:
        running.start()
        yield running
    finally:
        running.close()


def test_the_demo_shows_records_stops_in_order_and_keeps_its_data(tmp_path: Path) -> None:
    """From the first command to the second start on the same folder."""
    demo = LocalStack(tmp_path / "data", "--demo")
    again = LocalStack(tmp_path / "data")
    try:
        demo.start()
        assert wait_until(lambda: data_of(demo.demo_url)["totalRecords"] > 0, READABLE_TIMEOUT_S)
        [record] = data_of(demo.demo_url)["records"][-1:]
        assert record["taskKey"] == "npm-nightly"
        details = wait_for_data(f"{demo.api_url}{RECORDS}/detail/list/{record['id']}")
        assert {detail["localCluster"] for detail in details} == {"center"}

        assert demo.interrupt() == 0

        again.start()
        kept = data_of(f"{again.api_url}{RECORDS}/list/npm-nightly")
        assert record["id"] in {other["id"] for other in kept}
        assert again.interrupt() == 0
    finally:
        demo.close()
        again.close()


def latest_records(api_url: str) -> list[Any]:
    """The last run of each task."""
    return [
        row["record"] for row in data_of(f"{api_url}/replication/api/task/list?pageNumber=1&pageSize=100")["records"]
    ]


def test_ctrl_c_finishes_what_the_demo_was_doing(tmp_path: Path) -> None:
    """In a terminal: the page first, a line that moves, where the records are; and no record is left RUNNING."""
    data = tmp_path / "data"
    with in_terminal("up", "--demo", "--port", "0", "--data", str(data), variables={}) as terminal:
        terminal.wait_for("Ctrl-C stops everything in order.")
        page = re.fullmatch(r"The page is at (http://127.0.0.1:\d+)/", terminal.lines[0])
        assert page
        assert COLOUR.search(terminal.received)
        for _ in range(2):
            terminal.wait_for("/s), ")
        terminal.wait_for(" records started, as of ")
        # It begins with runs of the past, of which some have stalled: others of their tasks have followed by now.
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
        assert wait_until(
            lambda: any(record["startTime"] > now for record in latest_records(page[1])), READABLE_TIMEOUT_S
        )
        terminal.interrupt()
        terminal.wait_for("Stopping everything in order")
        terminal.wait_for(f"All is stopped. The records are kept in {data}")
        assert terminal.end() == 0
    assert SHOW_CURSOR in terminal.received
    again = LocalStack(data)
    try:
        again.start()
        # What was not applied before the stop is applied now.
        assert wait_until(
            lambda: not any(record["replicaOverview"]["running"] for record in latest_records(again.api_url)),
            START_TIMEOUT_S,
        )
        records = latest_records(again.api_url)
        assert {record["status"] for record in records} <= {"FAILED", "SUCCESS"}
        cut_off = [record for record in records if record["errorReason"] == STOPPED]
        assert cut_off
        assert all(record["replicaOverview"]["running"] == 0 for record in records)
        assert again.interrupt() == 0
        assert "All is stopped. The records are kept in" in again.output
    finally:
        again.close()


def test_what_is_published_from_outside_is_readable(stack: LocalStack) -> None:
    """As the printed hint says."""
    events = [
        {
            "type": "record.started",
            "recordId": "from-outside",
            "taskKey": "by-hand",
            "eventTime": "2021-05-12T12:19:08.813Z",
        }
    ]
    published = subprocess.run(
        replog("publish", "-"),
        input="\n".join(json.dumps(event) for event in events),
        env={**os.environ, "REPLOG_KAFKA_BOOTSTRAP_SERVERS": stack.kafka},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert (published.returncode, published.stdout) == (0, "1 events published\n"), published.stderr
    [record] = wait_for_data(f"{stack.api_url}{RECORDS}/list/by-hand")
    assert (record["id"], record["startTime"]) == ("from-outside", "2021-05-12T12:19:08.813")


def test_a_second_stack_on_the_same_folder_is_refused(stack: LocalStack) -> None:
    """The first goes on."""
    second = LocalStack(stack._data)
    second._output = second._output.with_suffix(".second")
    with pytest.raises(AssertionError, match="another `replog up` runs on"):
        second.start()
    assert second.process.returncode == 1
    assert stack.process.poll() is None


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = subprocess.run(
            replog("up", "--port", str(port), "--data", str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"port {port} of 127.0.0.1 cannot be used")


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_ctrl_c_leaves_no_process(own_stack: LocalStack) -> None:
    """Redis, broker, collector and query service are all gone."""
    children = children_of(own_stack.process.pid)
    assert len(children) == 4
    assert own_stack.interrupt() == 0
    assert not [pid for pid in children if is_running(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_stack_leaves_no_process(own_stack: LocalStack) -> None:
    """Even without a chance to stop them."""
    children = children_of(own_stack.process.pid)
    own_stack.process.kill()
    own_stack.process.wait(STOP_TIMEOUT_S)
    assert wait_until(lambda: not any(is_running(pid) for pid in children), STOP_TIMEOUT_S)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_process_that_dies_ends_the_stack(own_stack: LocalStack) -> None:
    """Exit code 1, and the message names the process and its log."""
    children = children_of(own_stack.process.pid)
    [collector] = [pid for pid in children if b"replog_collector" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(collector, signal.SIGKILL)
    assert own_stack.process.wait(STOP_TIMEOUT_S) == 1
    assert re.search(r"collector was ended by SIGKILL; its log is \S+/logs/collector\.log", own_stack.output)
    assert not [pid for pid in children if is_running(pid)]
