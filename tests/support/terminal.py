"""The ``replog`` command as a user runs it: in a pseudo-terminal of a given width, or with its output in a pipe."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pexpect

from tests.support.system import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 60.0
ROWS = 40
#: What a terminal is told about colours and the cursor, and titles.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
#: A colour; rich also sends bold and dim, which are none.
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|9[0-7]|38;[0-9;]+)m")
SHOW_CURSOR = "\x1b[?25h"


def command(*arguments: str) -> list[str]:
    """The command, without relying on PATH."""
    return [sys.executable, "-m", "replog_cli.main", *arguments]


def piped(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command once it has ended, with its output in pipes."""
    return subprocess.run(
        command(*arguments),
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


class Terminal:
    """A command in a pseudo-terminal; ``received`` is all that the terminal got so far."""

    def __init__(self, process: pexpect.spawn[str]) -> None:
        self._process = process
        self.received = ""

    def wait_for(self, text: str) -> None:
        """Wait until the terminal gets ``text``."""
        found = self._process.expect_exact([text, pexpect.EOF])
        self._keep()
        assert found == 0, f"{text!r} did not come: {self.received}"

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.sendintr()

    def end(self) -> int:
        """The exit code, once the command has ended."""
        self._process.expect(pexpect.EOF)
        self._keep()
        self._process.close()
        code = self._process.exitstatus
        return int(code) if code is not None else -int(self._process.signalstatus or 0)

    def _keep(self) -> None:
        after = self._process.after
        self.received += (self._process.before or "") + (after if isinstance(after, str) else "")

    @property
    def lines(self) -> list[str]:
        """The lines that were printed, without what moves the cursor or colours them."""
        return ESCAPES.sub("", self.received).replace("\r\n", "\n").replace("\r", "\n").splitlines()


@contextmanager
def in_terminal(*arguments: str, columns: int = 80, variables: dict[str, str]) -> Iterator[Terminal]:
    """The command in a terminal of ``columns``; ended at the latest with the block."""
    program, *rest = command(*arguments)
    process = pexpect.spawn(
        program,
        rest,
        env={
            name: text
            for name, text in environment({"TERM": "xterm-256color", **variables}).items()
            if name not in {"COLUMNS", "LINES", "CI"}
        },
        dimensions=(ROWS, columns),
        encoding="utf-8",
        timeout=TIMEOUT_S,
    )
    try:
        yield Terminal(process)
    finally:
        process.close(force=True)
