"""The publisher, over a producer that a test controls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from replog import Publisher
from replog.errors import BrokerUnavailable, InvalidEventError
from replog.events import (
    MAX_VALUE_BYTES,
    DetailFinished,
    DetailProgressed,
    DetailStarted,
    RecordFinished,
    RecordProgressed,
    RecordStarted,
)
from replog.publisher.scopes import RecordScope
from replog.times import TimeUs
from tests.support.fake_producer import FakeProducer

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 5.0


@pytest.fixture
async def producer() -> FakeProducer:
    """A producer that acknowledges everything."""
    return FakeProducer()


def publisher_over(producer: FakeProducer, **options: Any) -> Publisher:
    """A publisher that needs no settings."""
    return Publisher(producer=producer, **options)


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until ``condition`` holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0)


async def test_a_record_and_its_detail_are_started_and_finished_in_order(producer: FakeProducer) -> None:
    """Entering starts, leaving finishes, and every message has the record's id as its key."""
    async with (
        publisher_over(producer) as publisher,
        publisher.record(task_key="nightly", record_id="r-1", expected_details=1) as record,
        record.detail(detail_id="d-1", remote_cluster="dev", package_key="npm://helloworld", versions=["1.0"]),
    ):
        pass

    started, detail_started, detail_finished, finished = producer.events
    assert isinstance(started, RecordStarted)
    assert (started.task_key, started.record_id, started.expected_details) == ("nightly", "r-1", 1)
    assert isinstance(detail_started, DetailStarted)
    assert (detail_started.remote_cluster, detail_started.versions) == ("dev", ["1.0"])
    assert isinstance(detail_finished, DetailFinished)
    assert (detail_finished.detail_id, detail_finished.status) == ("d-1", "SUCCESS")
    assert isinstance(finished, RecordFinished)
    assert (finished.task_key, finished.status, finished.error_reason) == ("nightly", "SUCCESS", None)
    assert {key for key, _ in producer.sent} == {b"r-1"}
    assert producer.ended_by == "stop"


async def test_ids_that_are_left_out_are_made(producer: FakeProducer) -> None:
    """Two blocks without ids are two records; a detail belongs to the record that it was opened in."""
    async with publisher_over(producer) as publisher:
        async with publisher.record(task_key="t") as first, first.detail() as detail:
            pass
        async with publisher.record(task_key="t") as second:
            pass
    assert first.record_id != second.record_id
    [started] = producer.of_type(DetailStarted)
    assert (started.record_id, started.detail_id) == (first.record_id, detail.detail_id)


async def test_an_exception_fails_its_blocks_and_is_raised_on(producer: FakeProducer) -> None:
    """Both the detail and the record finish as FAILED with the exception's text."""
    with pytest.raises(OSError, match="no route to dev"):
        async with (
            publisher_over(producer) as publisher,
            publisher.record(task_key="t") as record,
            record.detail(),
        ):
            raise OSError("no route to dev")
    outcomes = producer.of_type(DetailFinished) + producer.of_type(RecordFinished)
    assert [(event.status, event.error_reason) for event in outcomes] == [("FAILED", "no route to dev")] * 2


async def test_an_exception_without_text_is_named(producer: FakeProducer) -> None:
    """A reason is there even where the exception says nothing."""
    with pytest.raises(KeyboardInterrupt):
        async with publisher_over(producer) as publisher, publisher.record(task_key="t"):
            raise KeyboardInterrupt
    assert producer.of_type(RecordFinished)[0].error_reason == "KeyboardInterrupt"


async def test_an_exceptions_text_never_makes_the_event_invalid(producer: FakeProducer) -> None:
    """Lone surrogates, as in file names, are replaced, and a huge text is cut."""
    with pytest.raises(ValueError, match="bad"):
        async with publisher_over(producer) as publisher, publisher.record(task_key="t"):
            raise ValueError("bad \udc80" + "x" * 2 * MAX_VALUE_BYTES)
    assert producer.of_type(RecordFinished)[0].error_reason.startswith("bad ?xxx")


async def test_a_detail_fails_without_an_exception_and_is_tried_again(producer: FakeProducer) -> None:
    """fail() decides the outcome; the next attempt is a block of its own under the same id."""
    async with publisher_over(producer) as publisher, publisher.record(task_key="t") as record:
        async with record.detail(detail_id="d") as detail:
            detail.fail("checksum does not match")
        async with record.detail(detail_id="d", attempt=1):
            pass
    outcomes = [(event.attempt, event.status, event.error_reason) for event in producer.of_type(DetailFinished)]
    assert outcomes == [(0, "FAILED", "checksum does not match"), (1, "SUCCESS", None)]
    assert producer.of_type(RecordFinished)[0].status == "SUCCESS"


async def test_progress_is_thinned_and_the_last_is_in_the_finished_event(producer: FakeProducer) -> None:
    """Of many calls inside one interval the first leaves at once, the last with the end."""
    async with (
        publisher_over(producer, progress_interval_s=60) as publisher,
        publisher.record(task_key="t") as record,
        record.detail() as detail,
    ):
        for done in range(1, 101):
            await detail.progress(blob={"total": 100, "success": done}, total_size=done)
    assert [event.progress.blob.success for event in producer.of_type(DetailProgressed)] == [1]
    [finished] = producer.of_type(DetailFinished)
    assert finished.progress.blob.success == 100
    assert finished.progress.total_size == 100


async def test_held_progress_leaves_when_its_interval_is_over(producer: FakeProducer) -> None:
    """A detail that falls silent after a burst still shows the burst's last progress, and only that one."""
    async with (
        publisher_over(producer, progress_interval_s=0.01) as publisher,
        publisher.record(task_key="t") as record,
        record.detail() as detail,
    ):
        for done in (1, 2, 3):
            await detail.progress(blob={"success": done})
        await until(lambda: len(producer.of_type(DetailProgressed)) == 2)
    assert [event.progress.blob.success for event in producer.of_type(DetailProgressed)] == [1, 3]


async def test_a_records_progress_is_in_its_finished_event(producer: FakeProducer) -> None:
    """The byte counts of the last sign of life are final."""
    async with publisher_over(producer) as publisher, publisher.record(task_key="t") as record:
        await record.progress(replicated_bytes=5, total_bytes=10)
        await record.progress(replicated_bytes=10, total_bytes=10)
    assert [event.replicated_bytes for event in producer.of_type(RecordProgressed)] == [5]
    assert producer.of_type(RecordFinished)[0].replicated_bytes == 10


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"size": -1}, "size"),
        ({"package_name": 7}, "package_name"),
        ({"versions": "1.0"}, "versions"),
        ({"detail_id": ""}, "detail_id"),
        ({"attempt": True}, "attempt"),
        ({"packge_name": "typo"}, "packge_name"),
        ({"path": "\ud800"}, "path"),
    ],
)
async def test_a_wrong_fact_raises_at_the_call(producer: FakeProducer, facts: dict[str, Any], field: str) -> None:
    """The message has the field's name, and nothing is sent for the detail."""
    async with publisher_over(producer) as publisher, publisher.record(task_key="t") as record:
        with pytest.raises(InvalidEventError, match=field):
            record.detail(**facts)
    assert producer.of_type(DetailStarted) == []


@pytest.mark.parametrize(
    ("progress", "field"),
    [
        ({"blob": {"total": -1}}, "progress.blob.total"),
        ({"blob": {"sucess": 1}}, "blob.sucess"),
        ({"total_size": 2**63}, "progress.total_size"),
        ({"total_size": 1.5}, "progress.total_size"),
    ],
)
async def test_wrong_progress_raises_at_the_call(producer: FakeProducer, progress: dict[str, Any], field: str) -> None:
    """Also where it would have been thinned out."""
    async with (
        publisher_over(producer) as publisher,
        publisher.record(task_key="t") as record,
        record.detail() as detail,
    ):
        await detail.progress()
        with pytest.raises(InvalidEventError, match=field):
            await detail.progress(**progress)


async def test_a_wrong_record_raises_at_the_call(producer: FakeProducer) -> None:
    """A record's values are checked before its block is entered."""
    async with publisher_over(producer) as publisher:
        with pytest.raises(InvalidEventError, match="replica_type"):
            publisher.record(task_key="t", replica_type="SOMETIMES")  # type: ignore[arg-type]
        with pytest.raises(InvalidEventError, match="task_key"):
            publisher.record(task_key="two\nlines")
        with pytest.raises(InvalidEventError, match="error_reason"):
            publisher.record(task_key="t").fail(5)  # type: ignore[arg-type]


async def test_a_long_reason_is_published_cut(producer: FakeProducer) -> None:
    """As a collector would cut it; also where the whole would be too large for a message."""
    async with publisher_over(producer) as publisher:
        await publisher.publish(
            RecordFinished(
                record_id="r", task_key="t", event_us=TimeUs(0), status="FAILED", error_reason="x" * MAX_VALUE_BYTES
            )
        )
    (published,) = producer.events
    assert isinstance(published, RecordFinished)
    assert published.error_reason == "x" * 8191 + "…"


async def test_facts_that_are_too_long_together_are_refused_at_the_call(producer: FakeProducer) -> None:
    """By a block, and of an event made by hand."""
    facts: Any = {"versions": ["x" * 1024] * 64}
    async with publisher_over(producer) as publisher:
        with pytest.raises(InvalidEventError, match=r"facts of \d+ bytes as JSON; at most 65536"):
            await publisher.publish(DetailStarted(record_id="r", detail_id="d", event_us=TimeUs(0), **facts))
        async with publisher.record(task_key="t") as record:
            with pytest.raises(InvalidEventError, match=r"facts of \d+ bytes as JSON; at most 65536"):
                record.detail(**facts)
            with pytest.raises(InvalidEventError, match="versions is wrong"):
                record.detail(versions=["1"] * 1001)


async def test_an_event_that_no_collector_would_take_is_not_published(producer: FakeProducer) -> None:
    """The limit of the event contract holds here too."""
    event = RecordFinished(
        record_id="r", task_key="t", event_us=TimeUs(0), status="FAILED", event_id="x" * MAX_VALUE_BYTES
    )
    async with publisher_over(producer) as publisher:
        with pytest.raises(InvalidEventError, match="of record r has") as raised:
            await publisher.publish(event)
    assert raised.value.reason == "too_large"


async def test_an_event_made_by_hand_is_checked_when_it_is_published(producer: FakeProducer) -> None:
    """Structs are not checked when they are made, and a dead letter would be the first to tell."""
    async with publisher_over(producer) as publisher:
        with pytest.raises(InvalidEventError, match="detailId is wrong"):
            await publisher.publish(DetailStarted(record_id="r", detail_id="", event_us=TimeUs(0)))
        with pytest.raises(InvalidEventError, match="eventTime is wrong"):
            await publisher.publish(DetailStarted(record_id="r", detail_id="d", event_us=0))  # type: ignore[arg-type]
    assert producer.events == []


async def test_leaving_waits_for_the_acknowledgements(producer: FakeProducer) -> None:
    """The publisher is not left before the broker has said yes to everything."""
    producer.acknowledges = False
    left = False

    async def work() -> None:
        nonlocal left
        async with publisher_over(producer) as publisher, publisher.record(task_key="t"):
            pass
        left = True

    working = asyncio.create_task(work())
    await until(lambda: len(producer.pending) == 2)
    producer.pending[0].set_result(None)
    await until(producer.pending[0].done)
    assert not left
    producer.pending[1].set_result(None)
    await working
    assert left


async def test_leaving_names_what_was_not_acknowledged(producer: FakeProducer) -> None:
    """An event that the broker refused, and one that it never answered, are both named with the reason."""
    producer.acknowledges = False

    async def work() -> None:
        async with publisher_over(producer, delivery_timeout_s=0.05) as publisher:
            async with (
                publisher.record(task_key="t", record_id="r-7") as record,
                record.detail(detail_id="d-7"),
            ):
                pass
            for acknowledgement in producer.pending[:2]:
                acknowledgement.set_result(None)
            producer.pending[2].set_exception(OSError("disk full"))

    with pytest.raises(BrokerUnavailable) as raised:
        await work()
    message = str(raised.value)
    assert message.startswith("2 events were not acknowledged: ")
    assert "detail.finished of record r-7 detail d-7 (disk full)" in message
    assert "record.finished of record r-7 (no answer in time)" in message
    assert producer.ended_by == "abort"


async def test_an_exception_is_not_replaced_by_what_was_not_acknowledged(producer: FakeProducer) -> None:
    """It carries the account as a note instead."""
    producer.acknowledges = False
    with pytest.raises(ValueError, match="the worker's own") as raised:
        async with (
            publisher_over(producer, delivery_timeout_s=0.05) as publisher,
            publisher.record(task_key="t"),
        ):
            raise ValueError("the worker's own")
    assert "2 events were not acknowledged" in raised.value.__notes__[0]


async def test_a_block_that_cannot_be_finished_keeps_the_workers_exception(producer: FakeProducer) -> None:
    """A worker that handles its exception goes on; the loss is raised on leaving the publisher."""

    async def run(publisher: Publisher) -> None:
        async with publisher.record(task_key="t", record_id="r"):
            producer.refuses = BrokerUnavailable("gone")
            raise ValueError("own")

    async def work() -> None:
        async with publisher_over(producer) as publisher:
            with pytest.raises(ValueError, match="own"):
                await run(publisher)

    with pytest.raises(BrokerUnavailable, match=r"record\.finished of record r \(gone\)"):
        await work()


async def test_a_full_buffer_makes_publish_wait(producer: FakeProducer) -> None:
    """Back-pressure: the call returns when there is room, and nothing is dropped."""
    async with publisher_over(producer) as publisher:
        producer.room.clear()
        entering = asyncio.create_task(publisher.record(task_key="t").__aenter__())
        await producer.full.wait()
        assert not entering.done()
        producer.room.set()
        await entering
    assert len(producer.sent) == 1


async def test_a_buffer_that_stays_full_raises(producer: FakeProducer) -> None:
    """After the delivery time-out the caller is told; the event is named on leaving too."""
    producer.room.clear()
    with pytest.raises(BrokerUnavailable, match="no room in the buffer"):
        async with publisher_over(producer, delivery_timeout_s=0.05) as publisher:
            await publisher.record(task_key="t").__aenter__()


async def test_a_publisher_that_was_not_entered_says_so() -> None:
    """Instead of an attribute error from inside."""
    with pytest.raises(RuntimeError, match="async with"):
        await Publisher().record(task_key="t").__aenter__()


async def test_leaving_does_not_wait_for_a_client_that_does_not_disconnect(producer: FakeProducer) -> None:
    """Everything is acknowledged; also where the client swallows a cancellation."""

    async def hanging() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    producer.stop = hanging  # type: ignore[method-assign]
    async with asyncio.timeout(10), Publisher(producer=producer, stop_timeout_s=0.01) as publisher:
        await publisher.record(task_key="t").__aenter__()
    assert producer.ended_by == "abort"


async def test_a_block_is_left_although_its_progress_swallows_a_cancellation() -> None:
    """As a client does that is being asked for room in its buffer."""
    swallowed = asyncio.Event()

    class Sink:
        progress_interval_s = 0.0

        async def publish(self, given: Any) -> None:
            if given.type != "record.progressed" or given.replicated_bytes == 0:
                return
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.set()
                await asyncio.Event().wait()

    scope = RecordScope(Sink(), task_key="t", record_id=None, attempt=0, facts={})
    async with asyncio.timeout(10), scope as record:
        await record.progress(replicated_bytes=0)
        await record.progress(replicated_bytes=1)
        for _ in range(10):
            await asyncio.sleep(0)
    assert swallowed.is_set()
