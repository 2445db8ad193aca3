"""Completion of task keys, asked of the query service while the user types."""

from __future__ import annotations

from replog.errors import ReplogError
from replog_cli.client.api import TASKS, Api

#: Seconds that a completion may take.
TIMEOUT_S = 1.0
MOST_KEYS = 50


def task_keys(incomplete: str) -> list[str]:
    """The last active tasks whose keys begin with ``incomplete``; none if the service does not answer."""
    try:
        with Api(read_timeout_s=TIMEOUT_S) as api:
            page = api.page(f"{TASKS}/list", {"prefix": incomplete}, MOST_KEYS)
    except ReplogError:
        return []
    return [row["taskKey"] for row in page["records"]]
