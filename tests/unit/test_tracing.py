"""The tracer, beside a real OTLP receiver: one that takes spans, and ones that are down, slow or refuse."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from replog.errors import SettingsError
from replog.settings import TracingSettings, load
from replog.tracing import opening
from replog.tracing.opening import CLOSE_S, opened_tracer
from replog.tracing.otlp import QUEUE_SPANS
from replog.tracing.reports import LibraryReport, ServiceReport
from replog.tracing.traceparent import TraceParent
from tests.support.otlp_receiver import OtlpReceiver, receiving_traces
from tests.support.services.process import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog.tracing.tracer import Tracer

SAMPLED = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
UNSAMPLED = SAMPLED._replace(sampled=False)
#: Far above what a call may take that waits for nobody, and far below what a receiver that stands still takes.
AT_ONCE_S = 2.0
DEADLINE_S = 30.0


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with receiving_traces() as running:
        yield running


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """OpenTelemetry's own lines, which a service switches off."""
    level = logging.getLogger("opentelemetry").level
    yield
    logging.getLogger("opentelemetry").setLevel(level)


class Counts:
    """What became of spans."""

    def __init__(self) -> None:
        self.by_result = Counter[str]()
        self._lock = threading.Lock()

    def __call__(self, result: str, spans: int) -> None:
        with self._lock:
            self.by_result[result] += spans


def settings(endpoint: str | None, ratio: float = 1.0) -> TracingSettings:
    return load(TracingSettings, otlp_endpoint=endpoint, trace_ratio=ratio)


def record(tracer: Tracer | None, name: str = "span", **options: object) -> TraceParent:
    """Record one span; returns it as the parent of others."""
    assert tracer is not None
    span = tracer.begin(name, "SERVER", {"number": 1, "text": "x"}, **options)  # type: ignore[arg-type]
    span.end()
    return span.parent


def test_spans_reach_the_receiver_whole(receiver: OtlpReceiver) -> None:
    counts = Counts()
    began_ns = time.time_ns() - 1_000_000
    with opened_tracer(settings(receiver.endpoint), service="service", report=ServiceReport(counts)) as tracer:
        assert tracer
        outer = tracer.begin("a", "CONSUMER", {"number": 7, "text": "x"}, links=[SAMPLED], start_ns=began_ns)
        with outer.step("part"):
            pass
        with pytest.raises(ValueError, match="wrong"), outer.step("broken part"):
            raise ValueError("wrong")
        outer.describe("b", {"more": 8})
        outer.end(error="failed")
    assert counts.by_result == {"exported": 3}
    assert receiver.paths == ["/v1/traces"]
    part, broken, whole = receiver.taken
    assert (whole.service, whole.name, whole.kind) == ("service", "b", 5)
    assert whole.attributes == {"number": 7, "text": "x", "more": 8}
    assert whole.links == [(SAMPLED.trace_id, SAMPLED.span_id)]
    assert (whole.context, whole.parent_id, whole.start_ns) == (outer.parent[:2], "", began_ns)
    assert [(one.name, one.failed) for one in (part, broken, whole)] == [
        ("part", False),
        ("broken part", True),
        ("b", True),
    ]
    assert {(one.trace_id, one.parent_id) for one in (part, broken)} == {whole.context}


@pytest.mark.parametrize(
    ("ratio", "parent", "links", "recorded"),
    [
        (1.0, None, [], True),
        (0.0, None, [], False),
        (0.0, SAMPLED, [], True),
        (1.0, UNSAMPLED, [], False),
        (0.0, None, [SAMPLED], True),
        (0.0, None, [UNSAMPLED], False),
        (0.0, UNSAMPLED, [SAMPLED], False),
    ],
)
def test_a_parent_decides_and_then_links_and_then_the_ratio(
    receiver: OtlpReceiver,
    ratio: float,
    parent: TraceParent | None,
    links: list[TraceParent],
    recorded: bool,  # noqa: FBT001 - the last value of a case
) -> None:
    with opened_tracer(settings(receiver.endpoint, ratio), service="s", report=LibraryReport()) as tracer:
        span = record(tracer, parent=parent, links=links)
    assert span.sampled == recorded
    assert [one.context for one in receiver.taken] == [span[:2]] * recorded
    if parent:
        assert span.trace_id == parent.trace_id


def test_the_ratio_is_that_of_traces(receiver: OtlpReceiver) -> None:
    """Of 2,000 traces at a tenth, between 120 and 280 are recorded but once in 10^9 runs."""
    with opened_tracer(settings(receiver.endpoint, 0.1), service="s", report=LibraryReport()) as tracer:
        recorded = sum(record(tracer).sampled for _ in range(2_000))
    assert 120 < recorded < 280
    assert len(receiver.taken) == recorded


def unreachable(receiver: OtlpReceiver) -> str:
    """Nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def slow(receiver: OtlpReceiver) -> str:
    """Requests are taken and not answered."""
    receiver.answering.clear()
    return receiver.endpoint


def refusing(receiver: OtlpReceiver) -> str:
    """Requests are answered 400, which is not to be tried again."""
    receiver.status = 400
    return receiver.endpoint


def busy(receiver: OtlpReceiver) -> str:
    """Requests are answered 503, which is to be tried again."""
    receiver.status = 503
    return receiver.endpoint


@pytest.mark.parametrize("trouble", [unreachable, slow, refusing, busy])
def test_a_receiver_in_trouble_holds_nothing_up(receiver: OtlpReceiver, trouble: object) -> None:
    """Three times as many spans as may wait: none of them waits, what is too much is counted, and logged once."""
    counts, endpoint = Counts(), trouble(receiver)  # type: ignore[operator]
    report = ServiceReport(counts)
    with capture_logs() as lines, opened_tracer(settings(endpoint), service="s", report=report) as tracer:
        began_s = time.monotonic()
        for _ in range(3 * QUEUE_SPANS):
            record(tracer)
        assert time.monotonic() - began_s < DEADLINE_S
        assert wait_until(lambda: counts.by_result["dropped"] > 0, DEADLINE_S)
        leaving_s = time.monotonic()
    assert time.monotonic() - leaving_s < CLOSE_S + AT_ONCE_S
    assert counts.by_result["exported"] == 0
    assert counts.by_result["dropped"] >= (0 if trouble is refusing else 2 * QUEUE_SPANS)
    assert [line["event"] for line in lines] == ["spans_dropped"]


def test_a_receiver_that_comes_back_gets_later_spans(receiver: OtlpReceiver) -> None:
    counts = Counts()
    receiver.status = 400
    report = ServiceReport(counts)
    with capture_logs() as lines, opened_tracer(settings(receiver.endpoint), service="s", report=report) as tracer:
        record(tracer, "early")
        assert wait_until(lambda: counts.by_result["dropped"] == 1, DEADLINE_S)
        receiver.status = 200
        record(tracer, "late")
        assert wait_until(lambda: counts.by_result["exported"] == 1, DEADLINE_S)
    assert [span.name for span in receiver.taken] == ["late"]
    assert [line["event"] for line in lines] == ["spans_dropped", "recovered"]


def test_within_a_workers_process_the_standard_log_says_it_once(
    receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 400
    with opened_tracer(settings(receiver.endpoint), service="s", report=LibraryReport()) as tracer:
        for number in range(1, 3):
            record(tracer)
            receiver.has(lambda sent=number: len(receiver.requests) == sent)  # type: ignore[misc]
    assert [line.message for line in caplog.records if line.name == "replog.tracing"] == [
        "spans are dropped: the receiver does not take them"
    ]


def test_without_an_endpoint_there_is_no_tracer() -> None:
    with opened_tracer(settings(None), service="s", report=LibraryReport()) as tracer:
        assert tracer is None


def test_without_an_endpoint_nothing_that_makes_or_sends_spans_is_imported() -> None:
    """By the modules of the processes. Other libraries import parts of OpenTelemetry by themselves: redis, FastAPI."""
    code = (
        "import sys, replog_api.main, replog_collector.main, replog_collector.process\n"
        "import replog.publisher.sync_publisher\n"
        "sending = ('replog.tracing.otlp', 'opentelemetry.exporter', 'requests')\n"
        "print(*(name for name in sys.modules if name.startswith(sending)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""


def test_an_endpoint_without_the_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line that says what to install."""
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name.endswith(".sdk") else find_spec(name))
    with (
        pytest.raises(SettingsError, match=r"REPLOG_OTLP_ENDPOINT=http://127\.0\.0\.1:4318 needs the extra `tracing`"),
        opened_tracer(settings("http://127.0.0.1:4318"), service="s", report=LibraryReport()),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [("REPLOG_OTLP_ENDPOINT", "127.0.0.1:4318"), ("REPLOG_TRACE_RATIO", "1.5"), ("REPLOG_TRACE_RATIO", "-0.1")],
)
def test_wrong_settings_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}={value} is wrong"):
        load(TracingSettings)
