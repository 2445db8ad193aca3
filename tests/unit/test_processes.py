"""The local stack's child processes, with small children."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from replog.cancellation import cancel_and_wait
from replog_local.processes import ChildDied, Children

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DEADLINE_S = 10.0
ENDS_IN_ORDER = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
print("bye", flush=True)
"""
ENDS_AT_THE_SECOND = """
import os, pathlib, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print(os.getpid(), flush=True)
signal.sigwait([signal.SIGTERM])
pathlib.Path({asked!r}).touch()
signal.sigwait([signal.SIGTERM])
"""
DOES_NOT_LISTEN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    """Children that are gone when the test is over."""
    running = Children(tmp_path, {"PATH": "/usr/bin:/bin"})
    yield running
    await running.stop(["child", "other"])


def python(code: str) -> list[str]:
    """The command that runs ``code``."""
    return [sys.executable, "-c", code]


async def test_a_child_says_when_it_is_ready_and_ends_when_told(children: Children) -> None:
    """SIGTERM is enough; nobody counts it as a death."""
    assert await children.start_and_read_line("child", python(ENDS_IN_ORDER), {}) == "ready"
    await children.stop(["child"])
    children.check()


async def test_a_child_that_ends_unasked_is_a_death(children: Children, tmp_path: Path) -> None:
    """The message has its name, its exit code, its log and the log's last line."""
    await children.start("child", python("import sys; sys.exit('no such broker')"), {})
    with pytest.raises(ChildDied) as died:
        async with asyncio.timeout(DEADLINE_S):
            await children.death()
    log = tmp_path / "child.log"
    assert str(died.value) == f"child ended with exit code 1; its log is {log} and ends with: no such broker"
    with pytest.raises(ChildDied):
        children.check()


async def test_a_child_that_was_killed_is_a_death(children: Children) -> None:
    """The message names the signal."""
    await children.start("child", python("import os; os.kill(os.getpid(), 9)"), {})
    with pytest.raises(ChildDied, match="child was ended by SIGKILL"):
        async with asyncio.timeout(DEADLINE_S):
            await children.death()


async def test_a_child_that_ends_before_it_is_ready_is_a_death(children: Children) -> None:
    """Nobody waits for its line any longer."""
    with pytest.raises(ChildDied, match="child ended with exit code 3"):
        async with asyncio.timeout(DEADLINE_S):
            await children.start_and_read_line("child", python("raise SystemExit(3)"), {})


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """After the deadline, so that the others can be stopped."""
    children = Children(tmp_path, {"PATH": "/usr/bin:/bin"}, stop_s=0.05)
    await children.start_and_read_line("child", python(DOES_NOT_LISTEN), {})
    async with asyncio.timeout(DEADLINE_S):
        await children.stop(["child"])


async def test_children_have_the_stacks_environment_and_their_own(children: Children) -> None:
    """Their own wins."""
    show = "import os; print(os.environ['PATH'], os.environ['REPLOG_API_PORT'], flush=True)"
    line = await children.start_and_read_line("child", python(show), {"REPLOG_API_PORT": "1"})
    assert line == "/usr/bin:/bin 1"


async def test_a_stop_that_is_cut_short_leaves_the_child_to_the_next(children: Children, tmp_path: Path) -> None:
    """Ctrl-C twice ends all children, too."""
    asked = tmp_path / "asked"
    pid = int(await children.start_and_read_line("child", python(ENDS_AT_THE_SECOND.format(asked=str(asked))), {}))
    stopping = asyncio.create_task(children.stop(["child"]))
    async with asyncio.timeout(DEADLINE_S):
        while not asked.exists():
            await asyncio.sleep(0.01)
        assert not await cancel_and_wait([stopping], timeout_s=DEADLINE_S)
        await children.stop(["child"])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
