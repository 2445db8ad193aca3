"""``Link`` headers of pages (RFC 8288): first, previous, next and last, with every other parameter. Pure.

Parameters that no query has are left out: the header would repeat each up to four times. Where it is too long all the
same it is left out as a whole, for a proxy in between might refuse the answer.
"""

from __future__ import annotations

from string import ascii_letters, digits
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus

from replog_api.admission.limits import MAX_LINK_BYTES
from replog_api.contracts.operations import OPERATIONS
from replog_api.http.paths import sent_path

if TYPE_CHECKING:
    from replog_api.http.query_values import PageQuery

NUMBER = "pageNumber"
#: What belongs to the page: every parameter of a query but its number, and how long one asking waits.
_OF_THE_PAGE = {name for operation in OPERATIONS for name in operation.query.in_query_string()} - {NUMBER, "wait"}
#: What may stand in a path or query as it is, beside letters and digits; all else is percent-encoded.
_PLAIN = "%/:@!$&'()*+,;=~?-._"
_PLAIN_BYTES = f"{ascii_letters}{digits}{_PLAIN}".encode()


def links(path: str, query_string: bytes, query: PageQuery, total: int) -> str | None:
    """The links of one page of ``total`` rows; None where they are too long.

    ``path`` is the one that was routed, ``query_string`` is as it was sent.
    """
    last = max(1, -(-total // query.page_size))
    targets = {"first": 1}
    if query.page_number > 1:
        targets["prev"] = min(query.page_number - 1, last)
    if query.page_number < last:
        targets["next"] = query.page_number + 1
    targets["last"] = last
    path, of_the_id = sent_path(path)
    base = f"{path}?{of_the_id}{_kept(query_string)}"
    if base.encode().translate(None, _PLAIN_BYTES):
        base = quote(base, _PLAIN)
    found = ", ".join([f'<{base}{NUMBER}={number}>; rel="{relation}"' for relation, number in targets.items()])
    return found if len(found) <= MAX_LINK_BYTES else None


def _kept(query_string: bytes) -> str:
    parts = query_string.decode("latin-1").split("&")
    return "".join([f"{part}&" for part in parts if _name(part) in _OF_THE_PAGE])


def _name(part: str) -> str:
    name = part.partition("=")[0]
    return unquote_plus(name) if "%" in name else name
