"""The pages in docs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def text_of(name: str) -> str:
    """The text of a page in docs."""
    return (DOCS / name).read_text(encoding="utf-8")


def fenced(page: str, language: str) -> list[str]:
    """The code blocks of a page that are in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
