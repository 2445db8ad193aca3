"""The store's Lua scripts, as Redis knows them: text and SHA-1.

Each is a file beside its caller. A line ``-- include: FOLDER/FILE`` at its top names a file that stands before it.
"""

from __future__ import annotations

import re
from hashlib import sha1
from importlib.resources import files
from pathlib import PurePosixPath
from typing import NamedTuple


class Script(NamedTuple):
    """One script: its name, its whole text, and the SHA-1 that EVALSHA takes."""

    name: str
    text: str
    sha: str


_INCLUDE = re.compile(r"^-- include: (\S+)$", re.MULTILINE)


def _script(path: str) -> Script:
    text = _text(path)
    return Script(PurePosixPath(path).stem, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _text(path: str) -> str:
    """The file at ``path`` below the store's folder, behind the files that it includes."""
    text = (files("replog.store") / path).read_text(encoding="utf-8")
    return "\n".join([*map(_text, _INCLUDE.findall(text)), text])


MERGE = _script("write/merge.lua")
ADVANCE = _script("write/advance.lua")
ENLIST = _script("write/enlist.lua")
REMOVE = _script("maintain/remove.lua")
DELIST = _script("maintain/delist.lua")
LEAVE = _script("write/leave.lua")
SETTLE = _script("write/settle.lua")
MEND = _script("inspect/mend.lua")
REMEMBER_REMOVED = _script("transfer/remember_removed.lua")
NOTE_RESTORING = _script("transfer/note_restoring.lua")
ERASE = _script("write/erase.lua")
RELIST = _script("write/relist.lua")
RELISTED = _script("write/relisted.lua")
RESTORED = _script("maintain/restored.lua")
EXPIRE = _script("maintain/expire.lua")
PAGE = _script("read/details/page.lua")
TASK_PAGE = _script("read/tasks/task_page.lua")
SEEK = _script("read/seek.lua")
FOLLOW = _script("read/details/follow.lua")
VALUES = _script("read/values.lua")
COUNT = _script("read/details/count.lua")
GLIMPSE = _script("read/details/glimpse.lua")
FACETS = _script("read/details/facets.lua")
HEADS = _script("read/details/heads.lua")
PLACE = _script("read/details/place.lua")
WINDOW = _script("read/details/window.lua")
SILENT = _script("read/silent.lua")
CANDIDATES = _script("read/candidates.lua")
OWNERS = _script("read/owners.lua")
RUNS = _script("read/tasks/runs.lua")

ALL = (
    MERGE,
    ADVANCE,
    ENLIST,
    SETTLE,
    REMEMBER_REMOVED,
    NOTE_RESTORING,
    MEND,
    ERASE,
    RELIST,
    RELISTED,
    RESTORED,
    EXPIRE,
    REMOVE,
    DELIST,
    LEAVE,
    PAGE,
    TASK_PAGE,
    SEEK,
    FOLLOW,
    VALUES,
    COUNT,
    GLIMPSE,
    FACETS,
    HEADS,
    PLACE,
    WINDOW,
    SILENT,
    CANDIDATES,
    OWNERS,
    RUNS,
)
