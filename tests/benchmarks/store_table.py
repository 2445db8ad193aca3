"""The table of the benchmark of the store, for a terminal and as Markdown."""

from __future__ import annotations

from typing import NamedTuple

from rich.table import Table

_COLUMNS = ("what", "goal", "ours", "met", "plain design", "PostgreSQL")
_NUMBERS = {"goal", "met"}


class Line(NamedTuple):
    """One figure; ``met`` is None where there is no goal."""

    what: str
    ours: str
    goal: str = ""
    met: bool | None = None
    plain: str = ""
    postgres: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """In the order of the columns."""
        met = "" if self.met is None else ("yes" if self.met else "NO")
        return (self.what, self.goal, self.ours, met, self.plain, self.postgres)


class Section(NamedTuple):
    """Figures of one kind."""

    title: str
    lines: list[Line]


def table_of(section: Section) -> Table:
    """``section`` for a terminal."""
    table = Table(title=section.title, title_justify="left")
    shown = _shown(section)
    for number in shown:
        column = _COLUMNS[number]
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    for line in section.lines:
        table.add_row(*(line.cells[number] for number in shown))
    return table


def markdown(section: Section) -> str:
    """``section`` to paste into a document."""
    shown = _shown(section)
    head = [_COLUMNS[number] for number in shown]
    ruler = ["---:" if column in _NUMBERS else "---" for column in head]
    rows = [head, ruler, *([line.cells[number] for number in shown] for line in section.lines)]
    return "\n".join([f"### {section.title}", "", *(f"| {' | '.join(row)} |" for row in rows), ""])


def _shown(section: Section) -> list[int]:
    # Columns that say something in this section.
    return [number for number in range(len(_COLUMNS)) if any(line.cells[number] for line in section.lines)]
