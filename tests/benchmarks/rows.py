"""What one row that a client asks for costs a query service between the store's reply and the answer, in CPU time.

Rows are read and rendered page by page, as for requests.
"""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from replog.events import RecordEvent
from replog.state import State
from replog.store.format.rows import StoredDetail, StoredRecord, raw_details
from replog_api.queries.render import Renderer
from replog_local.simulation import simulate
from tests.support.stored_rows import detail_of_state, record_of_states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: How often all rows are rendered, and how many records are: each again and again, for there are few.
ROUNDS, RECORDS = 9, 2000
#: Rows of a page.
PAGE = 20


def costs(records: int, details: int) -> dict[str, tuple[float, float]]:
    """Microseconds a row by what is done with it: the least of all rounds, and their median."""
    of_records, of_details = _rows(records, details)
    render = Renderer(ZoneInfo("Asia/Shanghai"), now_ms=time.time_ns() // 10**6, stale_after_s=900)
    measured: dict[str, tuple[Callable[[Any], object], Sequence[Sequence[object]]]] = {
        "detail, as JSON": (lambda page: render.details(raw_details(page)), _pages(of_details)),
        "detail, as values for filters": (_each(StoredDetail.read), _pages(of_details)),
        "record, as JSON": (_each(render.record), _pages(of_records)),
        "record, as values": (_each(StoredRecord.read), _pages(of_records)),
    }
    rounds = [[_us_a_row(do, rows) for do, rows in measured.values()] for _ in range(ROUNDS)]
    times = zip(*rounds, strict=True)
    return {what: (min(us), median(us)) for what, us in zip(measured, times, strict=True)}


def _each(read: Callable[[Any], object]) -> Callable[[Sequence[object]], object]:
    return lambda page: [read(row) for row in page]


def _pages(rows: Sequence[object]) -> list[Sequence[object]]:
    return [rows[i : i + PAGE] for i in range(0, len(rows), PAGE)]


def _us_a_row(do: Callable[[Any], object], pages: Sequence[Sequence[object]]) -> float:
    begun = time.process_time()
    for page in pages:
        do(page)
    return (time.process_time() - begun) / sum(map(len, pages)) * 1e6


def _rows(records: int, details: int) -> tuple[list[StoredRecord], list[StoredDetail]]:
    """What the store holds after the simulated stream."""
    of_records: dict[str, State] = defaultdict(State)
    of_details: dict[str, dict[str, State]] = defaultdict(lambda: defaultdict(State))
    for event in simulate(1, records=records, details_per_record=details):
        if isinstance(event, RecordEvent):
            of_records[event.record_id].fold(event)
        else:
            of_details[event.record_id][event.detail_id].fold(event)
    rows = [record_of_states(record, state, [*of_details[record].values()]) for record, state in of_records.items()]
    return (rows * (RECORDS // len(rows) + 1))[:RECORDS], [*_detail_rows(of_details)]


def _detail_rows(states: dict[str, dict[str, State]]) -> Iterable[StoredDetail]:
    for record_id, details in states.items():
        for detail_id, state in details.items():
            yield detail_of_state(record_id, detail_id, state)
