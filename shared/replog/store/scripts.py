"""The store's Lua scripts, by name, as Redis knows them: text and SHA-1."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    """One script; ``sha`` is what EVALSHA takes."""

    name: str
    text: str
    sha: str


def _script(*names: str) -> Script:
    folder = files(__package__) / "lua"
    text = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
    return Script(names[-1], text, sha1(text.encode(), usedforsecurity=False).hexdigest())


MERGE = _script("order", "calls", "merge")
ADVANCE = _script("advance")
ENLIST = _script("order", "calls", "activity", "enlist")
REMOVE = _script("remove")
DELIST = _script("order", "activity", "off", "delist")
LEAVE = _script("order", "calls", "activity", "off", "leave")
SETTLE = _script("settle")
PAGE = _script("within", "page")
TASK_PAGE = _script("task_page")
SEEK = _script("within", "seek")
VALUES = _script("within", "values")
COUNT = _script("tails", "count")
GLIMPSE = _script("tails", "glimpse")
FACETS = _script("facets")
PAIRS = _script("pairs")
HEADS = _script("heads")

ALL = (
    MERGE,
    ADVANCE,
    ENLIST,
    SETTLE,
    REMOVE,
    DELIST,
    LEAVE,
    PAGE,
    TASK_PAGE,
    SEEK,
    VALUES,
    COUNT,
    GLIMPSE,
    FACETS,
    PAIRS,
    HEADS,
)
