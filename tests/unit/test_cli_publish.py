"""``replog publish``: all lines are checked before the first is published."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from replog import Publisher
from replog_cli import main
from replog_cli import publish as publish_command
from tests.support.fake_producer import FakeProducer

if TYPE_CHECKING:
    from pathlib import Path

TIME = "2021-05-12T12:19:08.813Z"
STARTED = f'{{"type":"record.started","recordId":"r","taskKey":"t","eventTime":"{TIME}"}}'
FINISHED = f'{{"type":"record.finished","recordId":"r","taskKey":"t","eventTime":"{TIME}","status":"SUCCESS"}}'
NO_TASK = f'{{"type":"record.started","recordId":"r","eventTime":"{TIME}"}}'


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    """What the command publishes to."""
    fake = FakeProducer()
    monkeypatch.setattr(publish_command, "Publisher", lambda: Publisher(producer=fake))
    return fake


def test_every_line_is_published_in_order(producer: FakeProducer, tmp_path: Path) -> None:
    """Blank lines are no events."""
    file = tmp_path / "events.jsonl"
    file.write_text(f"{STARTED}\n\n  \n{FINISHED}")
    result = CliRunner().invoke(main.app, ["publish", str(file)])
    assert (result.exit_code, result.stdout) == (0, "2 events published\n")
    assert [event.type for event in producer.events] == ["record.started", "record.finished"]


def test_a_dash_reads_stdin(producer: FakeProducer) -> None:
    """So that a pipe can publish."""
    result = CliRunner().invoke(main.app, ["publish", "-"], input=STARTED)
    assert result.exit_code == 0
    assert len(producer.events) == 1


def test_one_invalid_line_stops_all_of_them(producer: FakeProducer) -> None:
    """Each is reported by its line number in the file, and nothing leaves."""
    result = CliRunner().invoke(main.app, ["publish", "-"], input=f"{STARTED}\n\n{NO_TASK}\nno json\n")
    assert result.exit_code == 1
    assert result.stdout == ""
    problems = result.stderr.splitlines()
    assert problems[0] == "line 3: taskKey is missing"
    assert problems[1].startswith("line 4: value is not JSON")
    assert problems[2] == "2 invalid events; nothing was published"
    assert producer.events == []


def test_invalid_lines_can_be_skipped(producer: FakeProducer) -> None:
    """They are reported all the same."""
    lines = f"{STARTED}\n{NO_TASK}\n{FINISHED}\n"
    result = CliRunner().invoke(main.app, ["publish", "-", "--skip-invalid"], input=lines)
    assert (result.exit_code, result.stdout) == (0, "2 events published\n")
    assert result.stderr == "line 2: taskKey is missing\n"
    assert len(producer.events) == 2


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit code of the ``replog`` command."""
    monkeypatch.setattr(sys, "argv", ["replog", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code


def test_a_file_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, no traceback."""
    assert run_main(monkeypatch, "publish", "/no/such/file") == 1
    assert capsys.readouterr().err == "/no/such/file cannot be read: No such file or directory\n"


def test_a_wrong_setting_ends_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line names the variable and its value."""
    file = tmp_path / "events.jsonl"
    file.write_text(STARTED)
    monkeypatch.setenv("REPLOG_KAFKA_TOPIC", "two words")
    assert run_main(monkeypatch, "publish", str(file)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("REPLOG_KAFKA_TOPIC=two words is wrong")


def test_a_broker_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 1."""
    file = tmp_path / "events.jsonl"
    file.write_text(STARTED)
    monkeypatch.setenv("REPLOG_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert run_main(monkeypatch, "publish", str(file)) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("Kafka at 127.0.0.1:1:")


def test_the_stack_does_not_listen_to_everybody_unasked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nobody is authenticated, so it takes an explicit word."""
    monkeypatch.delenv("REPLOG_API_INSECURE", raising=False)
    assert run_main(monkeypatch, "up", "--host", "0.0.0.0", "--data", str(tmp_path)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "REPLOG_API_HOST=0.0.0.0" in line
    assert "REPLOG_API_INSECURE=1" in line
