"""The table of docs/reliability.md: within how many seeds the simulator finds each fault that is put back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation.reintroduced import FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path("docs/reliability.md")
_BEGIN, _END = "<!-- found by the simulator: begin -->", "<!-- found by the simulator: end -->"
_FOUND = re.compile(r"^\| (.+?) \| .* \| (\d+) seeds? \|$", re.MULTILINE)


def write_table(seeds: Mapping[str, int | None]) -> None:
    """Write the table. ``seeds`` are the first that find each fault, None where none does."""
    lines = ["| fault | what the code then does | found within |", "| -- | -- | -- |"]
    for name, seed in seeds.items():
        within = "not found" if seed is None else f"{seed + 1} seed{'s' if seed else ''}"
        does = (FAULTS[name].__doc__ or "").splitlines()[0].rstrip(".")
        lines.append(f"| {name} | {does} | {within} |")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{chr(10).join(lines)}\n\n{_END}{after}", encoding="utf-8")


def documented_seeds() -> dict[str, int]:
    """By fault, the seed that found it when the table was written."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    table, _, _ = rest.partition(_END)
    return {name: int(within) - 1 for name, within in _FOUND.findall(table)}
