"""Completion in real shells: what the Tab key makes of a line is told by what the shell then runs."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.support.query_service import event, write
from tests.support.services.redis import remove_keys
from tests.support.system import API, Process, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

#: On a busy machine the command takes long to start, and it is started for each Tab.
TIMEOUT_S = 240.0
KEY, RECORD = "team-a/nightly", "609b573d53ccce752bf9b860"
#: The shells for which completion can be installed; bash is everywhere where tests run.
SHELLS = ("bash", "zsh", "fish")
#: A command, the key of a task and an option, each completed; the record is what the command then prints.
LINE = "replog watc\tteam-a/ni\t--js\t"


@pytest.fixture(scope="module")
def api(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A query service that knows one record of one task."""
    prefix = f"replog-test-{uuid.uuid4().hex}"
    events = [
        event("record.started", recordId=RECORD, taskKey=KEY),
        event("record.finished", recordId=RECORD, taskKey=KEY, at="2021-05-12T12:01:00Z", status="SUCCESS"),
    ]
    asyncio.run(write(redis_url, prefix, events))
    variables = {"REPLOG_REDIS_URL": redis_url, "REPLOG_REDIS_PREFIX": prefix, "REPLOG_API_PORT": "0"}
    process = Process(API, tmp_path_factory.mktemp("api"), variables)
    process.start()
    yield process
    process.kill()
    remove_keys(redis_url, prefix)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, api: Process, tmp_path: Path) -> Iterator[pexpect.spawn[str]]:
    """An interactive shell of a user who has installed completion."""
    name = str(request.param)
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} on PATH")
    commands = Path(sys.executable).parent
    variables = environment({"HOME": str(tmp_path), "REPLOG_API_URL": api.url, "TERM": "xterm", "NO_COLOR": "1"})
    variables["PATH"] = f"{commands}:{variables['PATH']}"
    for unwanted in ("ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        variables.pop(unwanted, None)
    # The command looks for the shell that it is run by, so it must not be the last one of the line.
    installed = subprocess.run(
        [program, "-c", "replog --install-completion; true"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert "completion installed" in installed.stdout, installed.stdout + installed.stderr
    process = pexpect.spawn(
        program, ["-i"], env=variables, dimensions=(40, 160), encoding="utf-8", timeout=TIMEOUT_S, cwd=str(tmp_path)
    )
    process.sendline("echo begun-$((1 + 1))" if name != "fish" else "echo begun-(math 1 + 1)")
    process.expect_exact("begun-2")
    if name == "zsh":
        # The first Tab of a shell loads the completion, and completes nothing.
        process.send("replog \t\x15")
    yield process
    process.close(force=True)


def test_commands_keys_and_options_are_completed(shell: pexpect.spawn[str]) -> None:
    shell.sendline(LINE)
    found = shell.expect_exact([RECORD, "No such", "there is no", pexpect.TIMEOUT, pexpect.EOF])
    assert found == 0, shell.before
