"""The publisher's part of tracing: a span a record, named in the messages of its events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from replog import Publisher, SyncPublisher
from replog.settings import TracingSettings, load
from replog.tracing.traceparent import parse
from tests.support.fake_producer import FakeProducer
from tests.support.otlp_receiver import receiving_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.otlp_receiver import OtlpReceiver


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with receiving_traces() as running:
        yield running


@pytest.fixture
async def producer() -> FakeProducer:
    return FakeProducer()


def settings(receiver: OtlpReceiver, ratio: float = 1.0) -> TracingSettings:
    return load(TracingSettings, otlp_endpoint=receiver.endpoint, trace_ratio=ratio)


def contexts(producer: FakeProducer) -> list[tuple[str, str] | None]:
    """The span that each message names; None for none."""
    parents = [parse(headers.get("traceparent", b"").decode()) for headers in producer.headers]
    return [parent[:2] if parent else None for parent in parents]


async def publish_two(publisher: Publisher) -> None:
    """Two records at the same time, one of which fails."""

    async def run(task_key: str) -> None:
        async with publisher.record(task_key=task_key, record_id=f"r-{task_key}") as record:
            async with record.detail(remote_cluster="dev") as detail:
                await detail.progress(total_size=1)
            if task_key == "b":
                record.fail("refused")

    await asyncio.gather(run("a"), run("b"))


async def test_each_record_is_a_span_and_all_its_events_name_it(receiver: OtlpReceiver, producer: FakeProducer) -> None:
    async with Publisher(producer=producer, tracing=settings(receiver)) as publisher:
        await publish_two(publisher)
    spans = {span.attributes["replog.record.id"]: span for span in receiver.spans("replicate")}
    assert {key: (span.service, span.failed) for key, span in spans.items()} == {
        "r-a": ("replog-publisher", False),
        "r-b": ("replog-publisher", True),
    }
    named = list(zip((event.record_id for event in producer.events), contexts(producer), strict=True))
    assert len(named) == 10
    assert set(named) == {(record_id, span.context) for record_id, span in spans.items()}


async def test_a_span_that_is_not_recorded_takes_no_bytes(receiver: OtlpReceiver, producer: FakeProducer) -> None:
    async with Publisher(producer=producer, tracing=settings(receiver, 0.0)) as publisher:
        await publish_two(publisher)
    assert producer.headers == [{}] * 10
    assert not receiver.requests


async def test_without_an_endpoint_messages_have_no_headers(producer: FakeProducer) -> None:
    async with Publisher(producer=producer) as publisher:
        await publish_two(publisher)
    assert producer.headers == [{}] * 10


def own_span(name: str) -> Any:
    """A span of the worker's own OpenTelemetry."""
    return TracerProvider().get_tracer("worker").start_as_current_span(name)


async def test_a_workers_own_trace_goes_on(receiver: OtlpReceiver, producer: FakeProducer) -> None:
    """In the span of the record, and in events that are published without a block."""
    async with Publisher(producer=producer, tracing=settings(receiver, 0.0)) as publisher:
        with own_span("work") as own:
            async with publisher.record(task_key="t"):
                pass
            await publisher.erase("r-0")
    context = own.get_span_context()
    (span,) = receiver.spans("replicate")
    assert (span.trace_id, span.parent_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert contexts(producer) == [span.context, span.context, (span.trace_id, span.parent_id)]


def test_a_workers_own_trace_goes_on_from_a_thread(receiver: OtlpReceiver) -> None:
    producer = FakeProducer()
    with (
        SyncPublisher(producer=producer, tracing=settings(receiver)) as publisher,
        own_span("work") as own,
        publisher.record(task_key="t") as record,
        record.detail(remote_cluster="dev"),
    ):
        pass
    (span,) = receiver.spans("replicate")
    assert span.trace_id == trace.format_trace_id(own.get_span_context().trace_id)
    assert contexts(producer) == [span.context] * 4


async def test_a_receiver_that_stands_still_holds_no_publisher_up(
    receiver: OtlpReceiver, producer: FakeProducer
) -> None:
    receiver.answering.clear()
    async with asyncio.timeout(20), Publisher(producer=producer, tracing=settings(receiver)) as publisher:
        for _ in range(500):
            async with publisher.record(task_key="t"):
                pass
    assert len(producer.events) == 1000
