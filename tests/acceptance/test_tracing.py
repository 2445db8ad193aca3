"""Tracing end to end: a worker's record, the collectors' batches and a request, as one receiver gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from replog import Publisher
from replog.settings import KafkaSettings, TracingSettings, load
from tests.support.otlp_receiver import SPAN, TRACE, receiving_traces
from tests.support.services.plain_http import NO_TLS
from tests.support.services.process import wait_until
from tests.support.system import API, COLLECTOR, READABLE_TIMEOUT_S, RECORDS, system_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.otlp_receiver import OtlpReceiver
    from tests.support.services.kafka import Broker
    from tests.support.system import Process, System


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with receiving_traces() as running:
        yield running


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


def traced_to(receiver: OtlpReceiver, ratio: float = 0.0) -> dict[str, str]:
    return {"REPLOG_OTLP_ENDPOINT": receiver.endpoint, "REPLOG_TRACE_RATIO": str(ratio)}


async def publish_a_record(system: System, receiver: OtlpReceiver) -> None:
    variables = system.variables
    kafka = load(
        KafkaSettings,
        kafka_bootstrap_servers=variables["REPLOG_KAFKA_BOOTSTRAP_SERVERS"],
        kafka_topic=variables["REPLOG_KAFKA_TOPIC"],
    )
    tracing = load(TracingSettings, otlp_endpoint=receiver.endpoint, trace_ratio=1.0)
    async with (
        Publisher(kafka, tracing=tracing) as publisher,
        publisher.record(task_key="t", record_id="r") as record,
        record.detail(detail_id="d", remote_cluster="dev"),
    ):
        pass


def answered(api: Process, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(f"{api.url}{RECORDS}/list/t", headers=headers, timeout=READABLE_TIMEOUT_S, verify=NO_TLS)


async def test_a_record_its_batch_and_a_request_are_traced(system: System, receiver: OtlpReceiver) -> None:
    system.publish_outcomes()
    collector, api = (system.started(module, **traced_to(receiver)) for module in (COLLECTOR, API))
    await publish_a_record(system, receiver)
    assert wait_until(lambda: answered(api, {}).json()["data"] != [], READABLE_TIMEOUT_S)
    given = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    assert answered(api, given).json()["traceId"] == TRACE
    # A batch is done once its events are readable, and both services send what is left when they end.
    assert (collector.stop(), api.stop()) == (0, 0)
    (record,) = receiver.spans("replicate")
    batches = receiver.spans(f"process {system.topic}")
    assert batches
    assert all(batch.links == [record.context] and batch.service == "replog-collector" for batch in batches)
    steps = {(span.name, span.parent_id) for span in receiver.taken if span.service == "replog-collector"}
    for batch in batches:
        assert {(name, batch.span_id) for name in ("merge", "publish outcomes", "commit")} <= steps
    (request,) = [span for span in receiver.taken if span.service == "replog-api"]
    assert (request.trace_id, request.parent_id) == (TRACE, SPAN)
    assert request.name == f"GET {RECORDS}/list/{{key}}"


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_receiver_that_stands_still_holds_nothing_up(
    system: System, receiver: OtlpReceiver, workers: int
) -> None:
    """Neither the answers, nor the end of a process; the metrics of all workers count what is lost."""
    receiver.answering.clear()
    traced = traced_to(receiver, 1.0)
    collector, api = system.started(COLLECTOR, **traced), system.started(API, REPLOG_API_WORKERS=str(workers), **traced)
    await publish_a_record(system, receiver)
    assert wait_until(lambda: answered(api, {}).json()["data"] != [], READABLE_TIMEOUT_S)
    for process in (collector, api):
        # A request takes 5 s until it is given up.
        assert wait_until(lambda one=process: dropped(one) > 0, READABLE_TIMEOUT_S)  # type: ignore[misc]
    assert len(collector.lines("spans_dropped")) == 1
    assert (collector.stop(), api.stop()) == (0, 0)


def dropped(process: Process) -> float:
    return process.metrics("replog_trace_spans_total")['result="dropped"']


async def test_a_collector_without_an_endpoint_applies_traced_events_and_sends_nothing(
    system: System, receiver: OtlpReceiver
) -> None:
    collector = system.started(COLLECTOR)
    await publish_a_record(system, receiver)
    assert wait_until(lambda: sum(collector.metrics("replog_events_total").values()) == 4, READABLE_TIMEOUT_S)
    assert collector.stop() == 0
    assert {span.service for span in receiver.taken} == {"replog-publisher"}
