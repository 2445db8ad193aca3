"""Commands of an operator as processes, beside a running system: run to their end, or killed on their way."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.support.services.redis import connected, servers_of
from tests.support.system import CLI, command, environment

if TYPE_CHECKING:
    from tests.support.system import System

COMMAND_TIMEOUT_S = 300.0
#: Exit codes of a verification.
EQUAL, DIFFERENT, COULD_NOT = 0, 1, 2


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


class OperatorCommands:
    """Runs ``replog`` with the settings of ``system``; ``variables`` of a call come before these."""

    def __init__(self, system: System) -> None:
        self._system = system

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [*command(CLI), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(self._system.variables | variables),
            cwd=self._system.folder,
        )

    def run(self, *words: str, **variables: str) -> Ended:
        """Run a command to its end."""
        process = self.start(*words, **variables)
        try:
            out, err = process.communicate(timeout=COMMAND_TIMEOUT_S)
        finally:
            process.kill()
        return Ended(process.returncode, out, err)

    def kill(self, *words: str, redis_url: str, keys: str, **variables: str) -> None:
        """Run a command, and kill it once the Redis at ``redis_url`` has a key of the pattern ``keys``."""
        process = self.start(*words, **variables)
        try:
            deadline_s = time.monotonic() + COMMAND_TIMEOUT_S
            while not _has(redis_url, keys):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline_s
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()


def _has(redis_url: str, keys: str) -> bool:
    for url in servers_of(redis_url):
        with connected(url) as client:
            if any(True for _ in client.scan_iter(match=keys, count=1000)):
                return True
    return False
