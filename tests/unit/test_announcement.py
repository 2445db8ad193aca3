"""The status line of ``replog up``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from replog_cli.announcement import status_line
from replog_local.figures import Figures, figures_of

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
