"""What dashboards show beside pages, of records at size: counts, reasons of failures, and the first rows of exports."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from replog.store.read.details.detail_counts import detail_counts
from replog.store.read.details.failure_reasons import EXAMINED, failure_reasons
from replog.store.read.details.ordered_details import ordered_details
from replog.store.read.filters import NO_FILTER, DetailFilter
from tests.benchmarks.asking import ORDER, Clock, Times
from tests.benchmarks.redis_calls import CallRecorder
from tests.benchmarks.store_data import BROAD, narrow_package
from tests.benchmarks.store_table import Line, Section

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog.store.format.rows import StoredDetail
    from tests.benchmarks.store_data import Known
    from tests.benchmarks.stores import Stores

GOAL_MS = 50
_TIMES = 20


def _exports(known: Known) -> list[tuple[str, DetailFilter]]:
    """Filters, each of which some details of the record meet, in words."""
    first, last, repo = known.shape.clusters[0], known.shape.clusters[-1], known.shape.repos[7]
    return [
        ("all", NO_FILTER),
        ("status FAILED", DetailFilter(status="FAILED")),
        ("one cluster and repository", DetailFilter(remote_cluster=first, local_repo_name=repo)),
        ("failures of one cluster", DetailFilter(remote_cluster=last, status="FAILED")),
        ("a narrow package", DetailFilter(package_name=narrow_package(3))),
        ("a broad package", DetailFilter(package_name=BROAD)),
    ]


async def read(stores: Stores, wide: Known, many: Known) -> tuple[Section, CallRecorder]:
    """Ask for each some times; the numbers are checked."""
    lines: list[Line] = []
    with CallRecorder(stores.url) as recorder:
        for known, by in ((wide, "cluster"), (wide, "pair"), (many, "cluster"), (many, "pair")):
            what = f"counts by {by}, {known.shape.details:,} details, {known.shape.pairs:,} pairs"
            lines.append(_line(what, await _timed(stores.pid, _counts(stores, known, by))))
        failed = wide.total(DetailFilter(status="FAILED"))
        what = f"reasons of {failed:,} failures, {EXAMINED:,} examined"
        lines.append(_line(what, await _timed(stores.pid, _reasons(stores, wide, failed))))
        for known in (wide, many):
            for what, flt in _exports(known):
                matches = known.total(flt) if not (flt.remote_cluster or flt.local_repo_name) else None
                first = await _timed(stores.pid, _first_rows(stores, known, flt))
                shown = "" if matches is None else f" ({matches:,})"
                lines.append(_line(f"first rows of an export, {known.shape.pairs:,} pairs: {what}{shown}", first))
    return Section(f"8. Summaries and exports, {ORDER}", lines), recorder


def _line(what: str, times: Times) -> Line:
    return Line(what, str(times), str(GOAL_MS), met=times.p50 <= GOAL_MS)


async def _timed(pid: int, ask: Callable[[], Awaitable[None]]) -> Times:
    clock = Clock(pid)
    for _ in range(_TIMES):
        clock.start()
        await ask()
        clock.stop()
    return clock.times


def _counts(stores: Stores, known: Known, by: str) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        found = await detail_counts(stores.ours, known.shape.record_id, "pair" if by == "pair" else "cluster")
        assert sum(group.total for group in found.data) == known.shape.details

    return ask


def _reasons(stores: Stores, known: Known, failed: int) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        found = (await failure_reasons(stores.ours, known.shape.record_id)).data
        assert (found.failed, found.examined) == (failed, min(failed, EXAMINED))

    return ask


def _first_rows(stores: Stores, known: Known, flt: DetailFilter) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        async with aclosing(ordered_details(stores.ours, known.shape.record_id, flt)) as steps:
            rows: list[StoredDetail] = await anext(steps, [])
            assert rows
            assert flt.matching([row[1:] for row in rows]) == [row[1:] for row in rows]

    return ask
