"""Spans of batches: which spans they link to, and their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replog.settings import TracingSettings, load
from replog.tracing.opening import opened_tracer
from replog.tracing.reports import LibraryReport
from replog.tracing.traceparent import TraceParent
from replog_collector.pipeline.batch_tracing import MOST_LINKS, UNTRACED, BatchTracing, recorded_parents
from replog_collector.pipeline.decoding import Decoded
from tests.support.fakes import FakeMessage
from tests.support.otlp_receiver import receiving_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.otlp_receiver import OtlpReceiver


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with receiving_traces() as running:
        yield running


def published(number: int, *, sampled: bool = True) -> FakeMessage:
    """A message that names a span of its own."""
    return FakeMessage(b"{}", headers=[("traceparent", str(parent(number, sampled=sampled)).encode())])


def parent(number: int, *, sampled: bool = True) -> TraceParent:
    return TraceParent(f"{number:032x}", f"{number:016x}", sampled)


def traced(receiver: OtlpReceiver, *messages: FakeMessage, ratio: float = 0.0, error: Exception | None = None) -> None:
    settings = load(TracingSettings, otlp_endpoint=receiver.endpoint, trace_ratio=ratio)
    with opened_tracer(settings, service="s", report=LibraryReport()) as tracer:
        tracing = BatchTracing(tracer, topic="events", group="collectors")
        with tracing.batch(Decoded(messages, {})) as step:
            with step("merge"):
                pass
            if error:
                raise error


def test_only_recorded_spans_are_linked_to_and_each_once() -> None:
    messages = [
        published(1),
        published(1),
        published(2, sampled=False),
        FakeMessage(b"{}"),
        FakeMessage(b"{}", headers=[("traceparent", None), ("traceparent", b"\xff"), ("other", b"x")]),
        published(3),
    ]
    assert list(recorded_parents(messages)) == [parent(1), parent(3)]


def test_a_batch_is_recorded_if_one_of_its_events_is(receiver: OtlpReceiver) -> None:
    traced(receiver, published(1), published(2, sampled=False), published(3))
    merge, batch = receiver.taken
    assert batch.name == "process events"
    assert batch.links == [parent(1)[:2], parent(3)[:2]]
    assert batch.attributes["messaging.batch.message_count"] == 3
    assert batch.attributes["messaging.consumer.group.name"] == "collectors"
    assert (merge.name, merge.trace_id, merge.parent_id) == ("merge", *batch.context)
    assert batch.start_ns <= merge.start_ns <= merge.end_ns <= batch.end_ns


@pytest.mark.parametrize(("ratio", "spans"), [(0.0, 0), (1.0, 2)])
def test_else_the_ratio_decides(receiver: OtlpReceiver, ratio: float, spans: int) -> None:
    traced(receiver, published(1, sampled=False), ratio=ratio)
    assert len(receiver.taken) == spans


def test_a_batch_has_no_more_links_than_opentelemetry_keeps(receiver: OtlpReceiver) -> None:
    traced(receiver, *map(published, range(1, 1000)))
    (batch,) = receiver.spans("process")
    assert batch.links == [parent(number)[:2] for number in range(1, MOST_LINKS + 1)]


def test_a_batch_that_fails_is_an_error_and_is_raised_on(receiver: OtlpReceiver) -> None:
    with pytest.raises(ValueError, match="wrong"):
        traced(receiver, published(1), error=ValueError("wrong"))
    (batch,) = receiver.spans("process")
    assert batch.failed


def test_without_a_tracer_steps_cost_and_do_nothing() -> None:
    with UNTRACED.batch(Decoded([published(1)], {})) as step, step("merge"), step("commit"):
        pass
