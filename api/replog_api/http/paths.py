"""Paths of the API, and ids that no path of a URL can carry. Pure.

Clients take ``.`` and ``..`` for a way through folders, percent-encoded or not. Such an id is sent as the parameter
``id``, after a path that ends where the id would begin: ``.../record/page/?id=..``. Any other key or id may be sent
like that, too.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote

TASKS = "/replication/api/task"
RECORDS = f"{TASKS}/record"
#: The parameter of an id that is not in the path.
ID = "id"
_BELOW_RECORDS = f"{RECORDS}/"


def routed_path(path: str, query_string: bytes) -> str:
    """The path with the id at its end, percent-encoded; ``path`` itself, as it was sent, where it has the id."""
    if not (path.endswith("/") and path.startswith(_BELOW_RECORDS)):
        return path
    found = parse_qs(query_string.decode("latin-1")).get(ID)
    return path + quote(found[-1], safe="") if found else path


def sent_path(path: str) -> tuple[str, str]:
    """The path that clients send for a routed one, and the start of its query string, empty for most ids."""
    start, _, entity_id = path.rpartition("/")
    return (f"{start}/", f"{ID}={entity_id}&") if entity_id in {".", ".."} else (path, "")
