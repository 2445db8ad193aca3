"""Everything that the store answers, beside everything that the oracle expects, as JSON objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from replog.store.format.rows import raw_details
from replog.store.read.filters import NO_FILTER
from replog.store.read.reader import Reader
from replog_api.queries.render import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.connection import Connection
    from replog.store.format.rows import StoredDetail
    from tests.support.model import Model

RENDERER = Renderer(ZoneInfo("UTC"), now_ms=0, stale_after_s=10**12)


def shown_details(details: Iterable[StoredDetail], renderer: Renderer = RENDERER) -> list[dict[str, Any]]:
    """What answers show of these rows."""
    # Not orjson: sums may exceed 64 bits.
    return json.loads(renderer.details(raw_details(list(details))))  # type: ignore[no-any-return]


def without_stale(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "stale": None} for row in rows]


async def answers(connection: Connection, model: Model) -> dict[str, Any]:
    """Everything that can be asked of the entities that ``model`` knows."""
    reader = Reader(connection)
    found: dict[str, Any] = {}
    for task_key in model.task_keys:
        for status in ("", "RUNNING", "SUCCESS", "FAILED"):
            page = await reader.record_page(task_key, status, 0, 1000)
            assert page is not None
            assert page.total == len(page.rows)
            found[f"task {task_key} {status}"] = without_stale([loads(RENDERER.record(row)) for row in page.rows])
    for record_id in model.record_ids:
        page_ = await reader.detail_page(record_id, NO_FILTER, 0, 1000)
        assert page_ is not None
        assert page_.total == len(page_.rows)
        found[f"record {record_id}"] = without_stale(shown_details(page_.rows))
    return found


def loads(row: bytes) -> dict[str, Any]:
    # Not orjson: sums may exceed 64 bits.
    return json.loads(row)  # type: ignore[no-any-return]


def expected(model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for task_key in model.task_keys:
        for status in ("", "RUNNING", "SUCCESS", "FAILED"):
            found[f"task {task_key} {status}"] = without_stale(model.records(task_key, status))
    for record_id in model.record_ids:
        found[f"record {record_id}"] = without_stale(model.details(record_id))
    return found


def shown(rows: Sequence[Any]) -> list[Any]:
    """Rows as the API shows them, without what time changes."""
    found = [loads(RENDERER.task(row)) for row in rows]
    return [{**task, "record": task["record"] and {**task["record"], "stale": None}} for task in found]
