"""The table of what the fault tests did to the system, and what was lost by it.

A plugin, and no conftest: where processes share the tests, the one that reports has collected none of them.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

#: The page that `make faults ARGS=--write-table` writes the table into, between these lines, as `make format` would.
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the table begins -->\n\n", "\n<!-- the table ends -->\n"
#: The property of a test's report that says what was done to the system.
JOURNAL = "journal"
#: How a journal's entry begins that is about what is lost.
GONE = "lost: "
#: Length of a cell: the documents' tables are narrow.
MOST_CHARACTERS = 140
#: How a test ended, in the words of the table.
LOST = {"passed": "nothing", "skipped": "not tried here", "failed": "**the test failed**"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Writing the table is asked for."""
    parser.addoption("--write-table", action="store_true", help=f"write the table of faults into {PAGE.name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table; write it where that was asked for."""
    reports = _with_journals(terminalreporter)
    if not reports:
        return
    table = _table(reports)
    terminalreporter.section("faults")
    terminalreporter.write(table)
    if config.getoption("--write-table"):
        text = PAGE.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        PAGE.write_text(head + BEGIN + table + END + rest.partition(END)[2], encoding="utf-8")


def _with_journals(terminal: pytest.TerminalReporter) -> list[pytest.TestReport]:
    ended = [report for outcome in LOST for report in terminal.stats.get(outcome, [])]
    return sorted((report for report in ended if JOURNAL in dict(report.user_properties)), key=_place)


def _place(report: pytest.TestReport) -> tuple[str, int]:
    path, line, _ = report.location
    return path, line or 0


def _table(reports: list[pytest.TestReport]) -> str:
    lines = ["| what happens | what was done to the system | lost |", "| -- | -- | -- |"]
    for report in reports:
        journal: list[str] = dict(report.user_properties)[JOURNAL]  # type: ignore[assignment]
        words = re.sub(r"^test_", "", report.nodeid.rpartition("::")[2]).replace("_", " ")
        name = words.replace("[", " (").replace("]", ")").replace("*", r"\*")
        counted = Counter(what for what in journal if not what.startswith(GONE))
        done = _listed([f"{what} ({count} times)" if count > 1 else what for what, count in counted.items()])
        gone = [what.removeprefix(GONE) for what in journal if what.startswith(GONE)]
        lost = gone[0] if gone and report.passed else LOST[report.outcome]
        lines.append(f"| {name} | {done or 'nothing'} | {lost} |")
    return "\n".join(lines) + "\n"


def _listed(actions: list[str]) -> str:
    """As many of the actions as a cell takes, and the number of the others."""
    shown = len(actions)
    while len(listed := _cut_after(actions, shown)) > MOST_CHARACTERS:
        shown -= 1
    return listed


def _cut_after(actions: list[str], shown: int) -> str:
    others = len(actions) - shown
    return ", ".join([*actions[:shown], f"and {others} more"] if others else actions)
