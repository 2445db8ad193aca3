"""The consoles of the commands. rich looks at ``NO_COLOR``, ``COLUMNS`` and at whether there is a terminal."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console

#: Width of a table that goes into a file or a pipe, where nothing says how wide it may be.
PIPE_WIDTH = 200


def output() -> Console:
    """The console of what was asked for: stdout."""
    return _console()


def messages() -> Console:
    """The console of progress and errors: stderr."""
    return _console(stderr=True)


def _console(**options: Any) -> Console:
    console = Console(highlight=False, markup=False, emoji=False, **options)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console
