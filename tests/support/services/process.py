"""Processes that the tests start: each in a session of its own, its output in a file, ended by its pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from tests.support.services import ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: Pause between two looks at a condition.
POLL_S = 0.05
#: How long a server may take to end in order before it is killed.
STOP_TIMEOUT_S = 20.0
_SHOWN_CHARACTERS = 2000


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether ``condition`` came true within ``timeout_s``; it is looked at once at least."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody holds ``port`` of the loopback now."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def run(command: Sequence[str], timeout_s: float) -> str:
    """The output of ``command``, once it ended well.

    Raises:
        ServiceUnavailableError: it failed or took longer than ``timeout_s``; nothing of it runs any more.
    """
    # A file, not a pipe: a grandchild that survives would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ServiceUnavailableError(f"{command[0]} gave no answer in {timeout_s:.0f} s") from None
        finally:
            _end_session(process)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if code:
        raise ServiceUnavailableError(f"{command[0]} failed ({code}): {text.strip()[-_SHOWN_CHARACTERS:]}")
    return text


def _end_session(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class ServerProcess:
    """One server that can be started again after it ended; ``log`` collects the output of all its lives."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str], ready: Callable[[], bool], timeout_s: float) -> None:
        """Start ``command`` and return once ``ready``.

        Raises:
            ServiceUnavailableError: it ended, or was not ready in time and was killed; with what it wrote.
        """
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            in_time = wait_until(lambda: not self.running or ready(), timeout_s)
        except BaseException:
            self.kill()
            raise
        if not (in_time and self.running):
            self.kill()
            raise ServiceUnavailableError(f"{command[0]} did not get ready in {timeout_s:.0f} s: {self.output()}")

    def stop(self) -> None:
        """End the server in order (SIGTERM), or not in order where it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Let the server stand still (SIGSTOP): its connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server go on, if it stood still."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def output(self) -> str:
        """The end of what the server's latest life wrote."""
        written = self.log.read_bytes()[self._log_start :]
        return written.decode(errors="replace").strip()[-_SHOWN_CHARACTERS:]


class OwnProcess:
    """A server that is one process of the tests' own, which a subclass starts; ``log`` is as that of its process."""

    def __init__(self, log: Path) -> None:
        self._process = ServerProcess(log)

    def stop(self) -> None:
        """End it in order."""
        self._process.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def pause(self) -> None:
        """Let it stand still, its connections open."""
        self._process.pause()

    def resume(self) -> None:
        """Let it go on."""
        self._process.resume()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process.running

    def close(self) -> None:
        """End it for good."""
        self.stop()
