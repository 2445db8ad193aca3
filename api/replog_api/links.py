"""``Link`` headers of pages (RFC 8288): first, previous, next and last, with everything else that was asked. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

if TYPE_CHECKING:
    from replog_api.parameters import Window

NUMBER = "pageNumber"
#: What belongs to one asking and not to the page.
_TRANSIENT = frozenset({NUMBER, "wait"})
#: What may stand in a path or query as it is; all else is percent-encoded.
_PLAIN = "%/:@!$&'()*+,;=~?-._"
_TO_ENCODE = re.compile(rf"[^A-Za-z0-9{re.escape(_PLAIN)}]")


def links(path: str, query: bytes, window: Window, total: int) -> str:
    """The links of one page of ``total`` rows; ``path`` and ``query`` are as they were sent."""
    last = max(1, -(-total // window.size))
    targets = {"first": 1}
    if window.number > 1:
        targets["prev"] = min(window.number - 1, last)
    if window.number < last:
        targets["next"] = window.number + 1
    targets["last"] = last
    base = f"<{path}?{_kept(query)}"
    if _TO_ENCODE.search(base, 1):
        base = f"<{quote(base[1:], _PLAIN)}"
    return ", ".join([f'{base}{NUMBER}={number}>; rel="{relation}"' for relation, number in targets.items()])


def _kept(query: bytes) -> str:
    parts = query.decode("latin-1").split("&")
    return "".join([f"{part}&" for part in parts if part and _name(part) not in _TRANSIENT])


def _name(part: str) -> str:
    name = part.partition("=")[0]
    return unquote_plus(name) if "%" in name else name
