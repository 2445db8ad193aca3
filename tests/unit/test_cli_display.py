"""The output of the commands: numbers, times, tables and bars, at 80 and 200 columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from replog_cli.display import diagnosis, formatting, silence, tables
from replog_cli.display.estimate import Estimate
from replog_cli.display.record_progress import RecordProgress
from replog_collector.topics.descriptions import GroupDescription, Member, PartitionOffsets
from replog_repair.diagnosis.checking.checks import Check
from tests.support.observations import NOW_MS, group_lag

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=timezone(timedelta(hours=8)))
#: The same time as answers write it: in UTC and without an offset.
NOON = "2026-01-02T04:00:00.000"
LONG_KEY = "team-a/" + "k" * 121
RECORD_ID = "609b573d53ccce752bf9b860"
HOSTILE = "\x1b[2Jcleared \u202egnp.exe [bold]"
widths = pytest.mark.parametrize("width", [80, 200])


def overview(**changed: Any) -> dict[str, Any]:
    """A roll-up in which four of twelve details are finished."""
    counts = {"success": 3, "failed": 1, "running": 4, "total": 8, "expected": 12}
    return {**counts, "skip": 2, "conflict": 1, "totalSize": 10**21, **changed}


def record(**changed: Any) -> dict[str, Any]:
    """A record that has been running for a minute."""
    started = {"status": "RUNNING", "startTime": "2026-01-02T03:59:00.000", "endTime": None, "errorReason": None}
    sizes = {"replicatedBytes": None, "totalBytes": None, "replicaOverview": overview()}
    return {"id": RECORD_ID, "taskKey": LONG_KEY, **started, **sizes, "lastEventTime": NOON, "stale": False, **changed}


def detail(**changed: Any) -> dict[str, Any]:
    """A detail that failed."""
    progress = {"blob": None, "node": None, "version": {"total": 3}, "success": 1, "skip": 1, "failed": 1}
    facts = {"remoteCluster": "frankfurt", "localRepoName": "npm-local", "artifactName": None, "version": None}
    package = {"packageKey": "npm://@acme/" + "x" * 90, "versions": ["1.0.0", "2.0.0"]}
    ended = {"status": "FAILED", "startTime": "2026-01-01T04:00:00.000", "endTime": NOON, "errorReason": HOSTILE * 3}
    more = {"packageConstraint": package, "pathConstraint": None, "stale": False}
    return {"id": "d", **facts, **ended, **more, "progress": progress, **changed}


def drawn(renderable: RenderableType, width: int) -> str:
    """What a terminal without colours shows."""
    out = StringIO()
    Console(file=out, width=width, color_system=None, markup=False).print(renderable)
    return out.getvalue()


def folded(text: str) -> str:
    """The text with its lines joined, as the parts of a folded id are."""
    return "".join(text.split())


EVERY_TABLE: dict[str, Callable[[int], RenderableType]] = {
    "tasks": lambda width: tables.tasks(
        [{"taskKey": LONG_KEY, "record": record(errorReason="e" * 300)}, {"taskKey": "never", "record": None}],
        NOW,
        width,
    ),
    "records": lambda width: tables.records([record(), record(status="FAILED", errorReason="e" * 300)], NOW, width),
    "details": lambda width: tables.details([detail(), detail(packageConstraint=None)], NOW, width),
    "clusters": lambda _: tables.clusters(
        [{"remoteCluster": "c" * 128, "failed": 10**6, "running": 0, "success": 10**7, "total": 11 * 10**6}]
    ),
    "silent": lambda width: tables.silent(
        [detail(lastEventTime=NOON), detail(packageConstraint=None, lastEventTime=NOON)], NOW, width
    ),
    "reasons": lambda width: tables.reasons(
        [{"failed": 7, "errorReason": "r" * 500, "remoteClusters": ["dev"] * 40, "detailId": "d" * 32}], width
    ),
}


@widths
@pytest.mark.parametrize("name", EVERY_TABLE)
def test_tables_fit_the_width(name: str, width: int) -> None:
    """No line is longer, whatever the names are."""
    lines = drawn(EVERY_TABLE[name](width), width).splitlines()
    assert len(lines) > 1
    assert max(cell_len(line) for line in lines) <= width


def silent(**changed: Any) -> dict[str, Any]:
    """What a record waits for that has been silent for an hour."""
    last = "2026-01-02T03:00:00.000"
    return {
        "lastActivityTime": last,
        "expected": 12,
        "missing": 4,
        "running": 2,
        "examined": 2,
        "details": [],
        **changed,
    }


@pytest.mark.parametrize(
    ("waits", "said"),
    [
        (
            silent(),
            "No event for 1 h 0 min, since 11:00:00. 2 details are running. Of 12 expected details 4 never began.",
        ),
        (silent(missing=0), "2 details are running. All 12 expected details have begun."),
        (silent(running=0, missing=0), "All expected details have ended: only the end of the record is missing."),
        (silent(running=0), "every detail that began has ended. Of 12 expected details 4 never began."),
        (silent(running=1, expected=None, missing=None), "1 detail is running. The worker did not say how many"),
        (silent(lastActivityTime=None), "No event has come."),
    ],
)
def test_silence_is_explained(waits: dict[str, Any], said: str) -> None:
    assert said in silence.summary(waits, NOW).plain


@widths
def test_a_diagnosis_fits_the_width_and_says_what_to_do(width: int) -> None:
    """Below what was found in a narrow terminal, beside it in a wide one."""
    checks = [
        Check("redis", "eviction", "warn", f"found {HOSTILE} {'x ' * 100}", "advice " * 30),
        Check("kafka", "brokers", "pass", "k:9092 answers"),
    ]
    text = drawn(diagnosis.checks(checks, width), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert text.count("advice") == 30
    assert "\x1b" not in text
    assert text.splitlines()[-1].strip() == "1 pass, 1 warn"


@widths
def test_lag_fits_the_width(width: int) -> None:
    """Members whose names are long, offsets that are none, and an age."""
    member = Member("c" * 200 + HOSTILE, "h" * 100, tuple(range(100)))
    behind = group_lag(
        PartitionOffsets(5, 10**15, None), description=GroupDescription("Stable", (member,)), oldest_ms=NOW_MS - 90_000
    )
    text = drawn(diagnosis.lag(behind, NOW_MS, width), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "1 min 30 s ago" in text
    assert "\x1b" not in text
    nobody = drawn(diagnosis.lag(group_lag(description=GroupDescription("Dead", ())), NOW_MS, width), width)
    assert "no collector reads the topic" in nobody


@widths
def test_ids_and_keys_are_whole(width: int) -> None:
    """Folded if need be, never shortened."""
    column = drawn(tables.records([record(id="i" * 128)], NOW, width), width)
    assert column.count("i") - drawn(tables.records([record(id="-")], NOW, width), width).count("i") == 128
    assert drawn(tables.tasks([{"taskKey": LONG_KEY, "record": None}], NOW, width), width).count("k") >= 121


def test_a_usual_id_is_on_one_line_at_80_columns() -> None:
    """So that a double click selects it."""
    assert RECORD_ID in drawn(tables.records([record(startTime="2025-12-01T00:00:00.000")], NOW, 80), 80)


def test_a_wide_table_says_more() -> None:
    """The reason and the latest record."""
    rows = [{"taskKey": "t", "record": record(status="FAILED", errorReason="disk full")}]
    assert "disk full" not in drawn(tables.tasks(rows, NOW, 80), 80)
    assert "disk full" in drawn(tables.tasks(rows, NOW, 200), 200)
    assert RECORD_ID in drawn(tables.tasks(rows, NOW, 200), 200)


@widths
def test_the_reason_of_a_failed_detail_is_always_there(width: int) -> None:
    """In a column or below."""
    assert "disk full" in drawn(tables.details([detail(errorReason="disk full")], NOW, width), width)


def test_names_do_not_control_the_terminal() -> None:
    """Control and direction characters are replaced, and square brackets are no markup."""
    shown = drawn(tables.details([detail()], NOW, 200), 200)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown


@widths
def test_the_live_view_fits_the_width(width: int) -> None:
    """With everything that it may show."""
    progress = RecordProgress({"record": record(totalBytes=10**22, errorReason=HOSTILE), "overview": overview()}, NOW)
    progress.trouble = "Connection lost: " + "x" * 300
    lines = drawn(progress.view(NOW, width), width).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert RECORD_ID in folded("".join(lines))


def test_the_line_says_progress_rate_and_expected_end() -> None:
    """Four details in a minute: the other eight take two more."""
    progress = RecordProgress({"record": record(), "overview": overview()}, NOW)
    assert progress.line(NOW) == (
        "RUNNING, 4/12 details (33%), 1 failed, 4 running, 2 skipped, 1 with a conflict, 4 details/min, 16.7 EB/s, "
        "expected end 12:02:00 (in 2 min 0 s)"
    )


def test_the_end_is_expected_by_bytes_where_the_details_are_not_known() -> None:
    """A quarter of the bytes in a minute."""
    state = {"record": record(replicatedBytes=100, totalBytes=400), "overview": overview(expected=None)}
    assert RecordProgress(state, NOW).expected_end(NOW) == NOW + timedelta(minutes=3)


@pytest.mark.parametrize(
    "state",
    [
        {"record": record(), "overview": overview(expected=None)},
        {"record": record(), "overview": overview(success=0, failed=0)},
        {"record": record(status="SUCCESS", endTime=NOON), "overview": overview()},
    ],
    ids=["total unknown", "nothing done", "ended"],
)
def test_no_end_is_expected_where_nothing_says_so(state: dict[str, Any]) -> None:
    """Rather none than a wrong one."""
    progress = RecordProgress(state, NOW)
    assert progress.expected_end(NOW) is None
    assert "expected" not in progress.line(NOW)


def test_a_rate_is_that_of_the_last_minute() -> None:
    """Fast at first, then one a second."""
    estimate = Estimate(0.0, window_s=60.0)
    estimate.observe(10.0, 1000)
    for second in range(11, 200):
        estimate.observe(float(second), 1000 + second - 10)
    assert estimate.rate_per_s(199.0) == pytest.approx(1.0)
    assert estimate.remaining_s(199.0, 1289.0) == pytest.approx(100.0)


def test_a_rate_falls_while_nothing_happens() -> None:
    """A run that stands still does not promise an end."""
    estimate = Estimate(0.0)
    estimate.observe(10.0, 10)
    assert estimate.rate_per_s(10.0) == pytest.approx(1.0)
    assert estimate.rate_per_s(100.0) == pytest.approx(0.1)


def test_a_new_attempt_begins_a_new_rate() -> None:
    """The number falls, and the rate never is negative."""
    estimate = Estimate(0.0)
    estimate.observe(10.0, 10)
    estimate.observe(20.0, 0)
    assert estimate.rate_per_s(21.0) is None
    estimate.observe(30.0, 5)
    assert estimate.rate_per_s(30.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (45_600_000, "45.6 MB"), (10**12, "1 TB"), (10**22, "10,000 EB")],
)
def test_sizes(count: int, text: str) -> None:
    """In decimal units, also beyond 64 bits."""
    assert formatting.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (59.4, "59 s"), (185, "3 min 5 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")]
)
def test_durations(seconds: float, text: str) -> None:
    """In two units."""
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"), [(1234.0, "1,234 x/s"), (2.5, "2.5 x/s"), (0.5, "30 x/min"), (0.01, "36 x/h")]
)
def test_rates(per_s: float, text: str) -> None:
    """In the unit of time that gives a readable number."""
    assert formatting.rate(per_s, "x") == text


def test_times_are_those_of_the_terminal() -> None:
    """Without a date if that is today's, in the terminal's zone."""
    assert formatting.clock(formatting.parse_time(NOON), NOW) == "12:00:00"
    assert formatting.clock(formatting.parse_time("2026-01-01T20:30:00.000"), NOW) == "04:30:00"
    assert formatting.clock(formatting.parse_time("2026-01-01T15:30:00.000"), NOW) == "2026-01-01 23:30:00"
    assert formatting.parse_time(NOON) == datetime(2026, 1, 2, 4, tzinfo=UTC)


def test_stale_is_said_beside_the_status() -> None:
    """The status itself stays RUNNING."""
    assert tables.status(record(stale=True)).plain == "RUNNING stale"
