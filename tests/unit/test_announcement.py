"""The status line of ``replog up``, and its wait for the last events at the stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import httpx
import pytest

from replog_cli.announcement import status_line
from replog_local.addresses import Addresses
from replog_local.figures import Figures, figures_of, wait_until_applied
from replog_local.stack import APPLY_STALL_S
from tests.simulation.loop import BEGIN_S, PROCESS, Process, SimulatedLoop

METRICS = """# HELP replog_events_total Events.
# TYPE replog_events_total counter
replog_events_total{type="record.started",result="applied"} 3.0
replog_events_total{type="record.started",result="duplicate"} 1.0
replog_events_total{type="detail.started",result="applied"} 1200.0
# TYPE replog_other gauge
replog_other 7.0
"""
AS_OF = """# TYPE replog_as_of_timestamp_seconds gauge
replog_as_of_timestamp_seconds {}
"""
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_figures_are_those_of_the_metrics() -> None:
    """All events, and the records whose start was applied."""
    as_of = NOW - timedelta(seconds=2)
    assert figures_of(METRICS, AS_OF.format(as_of.timestamp())) == Figures(1204, 3, as_of)


def test_no_time_is_known_before_the_collector_has_caught_up() -> None:
    """0 stands for that."""
    assert figures_of(METRICS, AS_OF.format("0.0")).as_of is None
    assert figures_of(METRICS, "").as_of is None


def test_the_line_says_events_records_and_freshness() -> None:
    """With a rate as soon as there are two figures."""
    current = Figures(1204, 3, NOW - timedelta(seconds=2))
    as_of = f"{(NOW - timedelta(seconds=2)).astimezone():%H:%M:%S}"
    assert status_line(current, None, 1.0, NOW) == f"1,204 events, 3 records started, as of {as_of} (2 s ago)"
    assert status_line(current, Figures(1184, 3, None), 2.0, NOW).startswith("1,204 events (10/s), 3 records started")
    assert status_line(Figures(0, 0, None), None, 1.0, NOW) == "0 events, 0 records started"


class Metrics:
    """Answers like the metrics of a collector that applies one event each time, up to ``events``."""

    def __init__(self, events: int, as_of: datetime) -> None:
        self._left, self._as_of, self.asked = events, as_of, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "collector":
            self.asked += 1
            applied = min(self.asked, self._left)
            sample = f'replog_events_total{{type="record.started",result="applied"}} {applied}'
            return httpx.Response(200, text=f"# TYPE replog_events_total counter\n{sample}\n")
        caught_up = self.asked >= self._left
        as_of = self._as_of.timestamp() if caught_up else 0.0
        return httpx.Response(200, text=AS_OF.format(as_of))


def seconds_waited(metrics: Metrics) -> tuple[bool, float]:
    """Whether all was applied as of NOW, as these metrics tell, and after how many virtual seconds."""

    async def waited() -> bool:
        addresses = Addresses("http://api", "http://collector", "", "", "", "")
        async with httpx.AsyncClient(transport=httpx.MockTransport(metrics)) as client:
            return await wait_until_applied(client, addresses, NOW, APPLY_STALL_S)

    loop = SimulatedLoop(Random(1))
    PROCESS.set(Process("replog up"))
    try:
        return loop.run_until_complete(waited()), loop.now_s - BEGIN_S
    finally:
        loop.close()


def test_the_stop_waits_as_long_as_events_are_applied() -> None:
    """Longer than the time in which one has to be applied."""
    all_applied, waited_s = seconds_waited(Metrics(300, NOW))
    assert all_applied
    assert waited_s > APPLY_STALL_S


def test_the_stop_gives_up_when_nothing_is_applied_any_more() -> None:
    """The end says so then."""
    all_applied, waited_s = seconds_waited(Metrics(1, NOW - timedelta(seconds=1)))
    assert not all_applied
    assert waited_s == pytest.approx(APPLY_STALL_S, abs=1)
