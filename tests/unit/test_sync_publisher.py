"""The publisher for threads, over a producer that a test controls."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from replog import SyncPublisher
from replog.errors import BrokerUnavailable, InvalidEventError
from replog.events import DetailFinished, DetailProgressed, DetailStarted, RecordFinished, RecordStarted
from replog.times import TimeUs
from tests.support.fake_producer import FakeProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DEADLINE_S = 10.0
#: Far longer than a script takes, far shorter than the delivery time-out.
EXIT_DEADLINE_S = 60.0
THREADS = 32

EXIT = """
import threading, time
from replog import SyncPublisher
from tests.support.fake_producer import FakeProducer

producer = FakeProducer()
publisher = SyncPublisher(producer=producer, exit_timeout_s=0.2).__enter__()
record = publisher.record(task_key="t", record_id="r").__enter__()
"""
FORK = """
import os, sys
from replog import SyncPublisher
from tests.support.fake_producer import FakeProducer

with SyncPublisher(producer=FakeProducer()) as publisher, publisher.record(task_key="t") as record:
    child = os.fork()
    if child == 0:
        try:
            record.progress()
        except RuntimeError as error:
            print(error)
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def producer() -> FakeProducer:
    """A producer that acknowledges everything."""
    return FakeProducer()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler of SIGINT: that of a test run takes one interrupt as the end of the run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def until(condition: Callable[[], object]) -> None:
    """Let other threads run until ``condition`` holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def soon(publisher: SyncPublisher, action: Callable[[], object]) -> None:
    """Do something on the publisher's own thread, where the producer's events and futures live."""
    publisher._thread._running_loop().call_soon_threadsafe(action)


def waiting(publisher: SyncPublisher) -> int:
    """Number of events that are not acknowledged yet."""
    return len(publisher._publisher._unacknowledged)


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Work on another thread, which ends before this returns."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            yield
        finally:
            future.result(DEADLINE_S)


def run(script: str) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, which must end by itself."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=EXIT_DEADLINE_S, check=False)


def test_blocks_publish_what_the_async_ones_do(producer: FakeProducer) -> None:
    with SyncPublisher(producer=producer, progress_interval_s=60) as publisher:
        with publisher.record(task_key="nightly", record_id="r-1", expected_details=1) as record:
            record.progress(replicated_bytes=1, total_bytes=2)
            with record.detail(detail_id="d-1", remote_cluster="dev", versions=["1.0"]) as detail:
                for done in range(1, 11):
                    detail.progress(blob={"total": 10, "success": done}, total_size=done)
        assert (record.record_id, detail.detail_id) == ("r-1", "d-1")

    assert [event.type for event in producer.events] == [
        "record.started",
        "record.progressed",
        "detail.started",
        "detail.progressed",
        "detail.finished",
        "record.finished",
    ]
    assert {key for key, _ in producer.sent} == {b"r-1"}
    assert producer.of_type(RecordStarted)[0].expected_details == 1
    assert producer.of_type(DetailProgressed)[0].progress.blob.success == 1
    assert producer.of_type(DetailFinished)[0].progress.blob.success == 10
    assert producer.of_type(RecordFinished)[0].replicated_bytes == 1
    assert producer.ended_by == "stop"


def test_its_thread_ends_with_it(producer: FakeProducer) -> None:
    with SyncPublisher(producer=producer):
        assert "replog publisher" in {thread.name for thread in threading.enumerate()}
    assert "replog publisher" not in {thread.name for thread in threading.enumerate()}


def test_its_thread_ends_where_no_broker_answers(producer: FakeProducer) -> None:
    async def refused() -> None:
        raise BrokerUnavailable("nobody there")

    producer.start = refused  # type: ignore[method-assign]
    with pytest.raises(BrokerUnavailable, match="nobody there"), SyncPublisher(producer=producer):
        pass
    assert "replog publisher" not in {thread.name for thread in threading.enumerate()}


def test_many_threads_share_it_and_one_record(producer: FakeProducer) -> None:
    details = 10

    def replicate(worker: int) -> None:
        for number in range(details):
            with record.detail(detail_id=f"{worker}-{number}") as detail:
                detail.progress(total_size=number)

    with (
        SyncPublisher(producer=producer) as publisher,
        publisher.record(task_key="t") as record,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        list(pool.map(replicate, range(THREADS)))

    expected = {f"{worker}-{number}" for worker in range(THREADS) for number in range(details)}
    for kind in (DetailStarted, DetailProgressed, DetailFinished):
        assert sorted(event.detail_id for event in producer.of_type(kind)) == sorted(expected)
    places = {(event.type, getattr(event, "detail_id", "")): place for place, event in enumerate(producer.events)}
    assert all(places["detail.started", name] < places["detail.finished", name] for name in expected)
    assert all(event.status == "SUCCESS" for event in producer.of_type(DetailFinished))
    assert producer.events[-1].type == "record.finished"


@pytest.mark.parametrize("error", [OSError("no route to dev"), KeyboardInterrupt("no route to dev")])
def test_an_exception_fails_its_blocks_and_is_raised_on(producer: FakeProducer, error: BaseException) -> None:
    with (
        pytest.raises(type(error)) as raised,
        SyncPublisher(producer=producer) as publisher,
        publisher.record(task_key="t") as record,
        record.detail(),
    ):
        raise error
    assert raised.value is error
    outcomes = producer.of_type(DetailFinished) + producer.of_type(RecordFinished)
    assert [(event.status, event.error_reason) for event in outcomes] == [("FAILED", "no route to dev")] * 2


def test_a_block_fails_without_an_exception(producer: FakeProducer) -> None:
    with SyncPublisher(producer=producer) as publisher, publisher.record(task_key="t") as record:
        with record.detail() as detail:
            detail.fail("checksum does not match")
        with pytest.raises(InvalidEventError, match="error_reason"):
            record.fail(5)  # type: ignore[arg-type]
    assert [event.status for event in producer.of_type(DetailFinished)] == ["FAILED"]
    assert [event.status for event in producer.of_type(RecordFinished)] == ["SUCCESS"]


def test_wrong_values_raise_at_the_call(producer: FakeProducer) -> None:
    wrong: dict[str, Any] = {"tsak_name": "typo"}
    with SyncPublisher(producer=producer) as publisher, publisher.record(task_key="t") as record:
        with pytest.raises(InvalidEventError, match=r"record\.tsak_name is no field"):
            publisher.record(task_key="t", **wrong)
        with pytest.raises(InvalidEventError, match="size"):
            record.detail(size=-1)
        with pytest.raises(InvalidEventError, match="replicated_bytes"):
            record.progress(replicated_bytes=-1)
        with record.detail() as detail, pytest.raises(InvalidEventError, match=r"progress\.blob\.total"):
            detail.progress(blob={"total": -1})
        with pytest.raises(InvalidEventError, match="detailId is wrong"):
            publisher.publish(DetailStarted(record_id="r", detail_id="", event_us=TimeUs(0)))


def test_a_full_buffer_holds_the_threads_and_drops_nothing(producer: FakeProducer) -> None:
    def replicate(_: int) -> None:
        with record.detail():
            pass

    with SyncPublisher(producer=producer) as publisher, publisher.record(task_key="t") as record:
        producer.room.clear()
        with ThreadPoolExecutor(THREADS) as pool:
            done = pool.map(replicate, range(THREADS))
            until(lambda: waiting(publisher) == THREADS)
            assert len(producer.sent) == 1
            soon(publisher, producer.room.set)
            list(done)
    assert len(producer.of_type(DetailStarted)) == len(producer.of_type(DetailFinished)) == THREADS


def test_a_buffer_that_stays_full_raises_in_time(producer: FakeProducer) -> None:
    producer.room.clear()
    with (
        pytest.raises(BrokerUnavailable, match="no room in the buffer") as raised,
        SyncPublisher(producer=producer, delivery_timeout_s=0.05) as publisher,
        publisher.record(task_key="t"),
    ):
        pass
    assert "1 events were not acknowledged" in raised.value.__notes__[0]


def test_leaving_waits_for_the_acknowledgements(producer: FakeProducer) -> None:
    producer.acknowledges = False

    def acknowledge() -> None:
        until(lambda: len(producer.pending) == 2)
        for acknowledgement in producer.pending:
            soon(publisher, lambda given=acknowledgement: given.set_result(None))  # type: ignore[misc]

    with SyncPublisher(producer=producer) as publisher, beside(acknowledge), publisher.record(task_key="t"):
        pass
    assert [acknowledgement.done() for acknowledgement in producer.pending] == [True, True]
    assert producer.ended_by == "stop"


def test_leaving_names_what_was_not_acknowledged(producer: FakeProducer) -> None:
    producer.acknowledges = False

    def work() -> None:
        with (
            SyncPublisher(producer=producer, delivery_timeout_s=0.05) as publisher,
            publisher.record(task_key="t", record_id="r"),
        ):
            soon(publisher, lambda: producer.pending[0].set_result(None))
            until(lambda: waiting(publisher) == 0)

    with pytest.raises(BrokerUnavailable, match=r"1 events .*record\.finished of record r \(no answer in time\)"):
        work()
    assert producer.ended_by == "abort"


def test_leaving_waits_for_calls_of_other_threads(producer: FakeProducer) -> None:
    """And refuses further ones."""
    with ThreadPoolExecutor(1) as pool:
        with SyncPublisher(producer=producer) as publisher:
            record = publisher.record(task_key="t")
            producer.room.clear()
            entering = pool.submit(record.__enter__)
            until(lambda: waiting(publisher) == 1)
            soon(publisher, producer.room.set)
        entering.result(DEADLINE_S)
    assert len(producer.of_type(RecordStarted)) == 1
    with pytest.raises(RuntimeError, match="the publisher was left"):
        record.progress()


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_a_block_is_entered_fails_the_block(producer: FakeProducer) -> None:
    """The interrupted thread waits for room in the buffer; the block's end is published with its start."""

    def interrupt() -> None:
        until(lambda: waiting(publisher) == 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        until(lambda: waiting(publisher) == 2)
        soon(publisher, producer.room.set)

    producer.room.clear()
    with pytest.raises(KeyboardInterrupt), SyncPublisher(producer=producer) as publisher, beside(interrupt):
        publisher.record(task_key="t").__enter__()
    assert [event.status for event in producer.of_type(RecordFinished)] == ["FAILED"]
    assert len(producer.of_type(RecordStarted)) == 1


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_leaving_names_what_was_not_acknowledged(producer: FakeProducer) -> None:
    producer.acknowledges = False

    publisher = SyncPublisher(producer=producer)

    def interrupt() -> None:
        until(lambda: publisher._thread._refusing)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as raised, beside(interrupt), publisher:
        publisher.record(task_key="t", record_id="r").__enter__().__exit__(None, None, None)
    assert "2 events were not acknowledged: record.started of record r" in raised.value.__notes__[0]
    assert producer.ended_by == "abort"
    assert "replog publisher" not in {thread.name for thread in threading.enumerate()}


def test_it_is_entered_once(producer: FakeProducer) -> None:
    publisher = SyncPublisher(producer=producer)
    with pytest.raises(RuntimeError, match="is used with `with`"):
        publisher.record(task_key="t").__enter__()
    with publisher, pytest.raises(RuntimeError, match="entered once"):
        publisher.__enter__()
    with pytest.raises(RuntimeError, match="entered once"):
        publisher.__enter__()


def test_a_publisher_that_is_open_at_exit_is_flushed() -> None:
    """With the blocks of threads that end only while the interpreter waits for them."""
    ended = run(
        EXIT
        + """
def work(number):
    with record.detail(detail_id=str(number)):
        while threading.main_thread().is_alive():
            time.sleep(0.001)

async def stop():
    print(sorted(event.type for event in producer.events))

producer.stop = stop
for number in (1, 2):
    threading.Thread(target=work, args=(number,)).start()
"""
    )
    assert ended.stderr == ""
    assert ended.stdout.strip() == str(["detail.finished"] * 2 + ["detail.started"] * 2 + ["record.started"])
    assert ended.returncode == 0


def test_what_an_open_publisher_cannot_send_at_exit_is_named() -> None:
    """What the broker did not acknowledge, and what waits for room in the buffer on a daemon thread."""
    ended = run(
        EXIT
        + """
producer.acknowledges = False
record.progress()
producer.room.clear()
threading.Thread(target=record.detail(detail_id="d").__enter__, daemon=True).start()
while len(publisher._publisher._unacknowledged) < 2:
    time.sleep(0.001)
"""
    )
    assert "BrokerUnavailable: 2 events were not acknowledged" in ended.stderr
    assert "record.progressed of record r (no answer in time)" in ended.stderr
    assert "detail.started of record r detail d (waits for room in the buffer)" in ended.stderr


def test_a_client_that_does_not_disconnect_does_not_hold_the_exit() -> None:
    ended = run(
        EXIT.replace("exit_timeout_s=0.2", "exit_timeout_s=0.2, stop_timeout_s=0.1")
        + """
import asyncio

async def hang():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

producer.acknowledges = False
producer.abort = hang
record.progress()
"""
    )
    assert "BrokerUnavailable: 1 events were not acknowledged: record.progressed" in ended.stderr


def test_a_forked_child_is_told_and_can_exit() -> None:
    ended = run(FORK)
    assert ended.stderr == ""
    child, status = ended.stdout.splitlines()
    assert "this is a fork of it" in child
    assert "create a publisher in each process" in child
    assert status == "7"
