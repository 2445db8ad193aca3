"""Outcomes are sent in order, within a time limit, and are held rather than dropped."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.v1.event import CloudEvent

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog_collector.kafka.produce.outcome_topic import OutcomeTopic

if TYPE_CHECKING:
    from collections.abc import Sequence


class Broker:
    """A producer whose topic takes batches of ``max_bytes``; what is sent in one turn of the loop is one batch."""

    topic = "outcomes"

    def __init__(self, max_bytes: int = 10_000) -> None:
        self.max_bytes = max_bytes
        self.taken: list[tuple[bytes | None, bytes | None, dict[str, bytes | None]]] = []
        self.refuses_after: int | None = None
        self.answers = True
        self.aborted = False
        self._batch: list[tuple[Any, asyncio.Future[Any]]] = []

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Wait for acknowledgements, without end."""
        if not self.answers:
            await asyncio.get_running_loop().create_future()

    async def abort(self) -> None:
        """Note it."""
        self.aborted = True

    async def send(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> asyncio.Future[Any]:
        """Take one message into the batch."""
        if self.refuses_after is not None and len(self._batch) >= self.refuses_after:
            raise BrokerUnavailable("the topic does not exist")
        answer = asyncio.get_running_loop().create_future()
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        self._batch.append(((key, value, dict(headers)), answer))
        return answer

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        """What became of it."""
        await acknowledgement

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if not self.answers:
            return
        too_large = sum(len(message[1]) for message, _ in batch) > self.max_bytes
        for message, answer in batch:
            if self.refuses_after is not None:
                answer.set_exception(BrokerUnavailable("away"))
            elif too_large:
                answer.set_exception(MessageTooLargeError("refused"))
            else:
                self.taken.append(message)
                answer.set_result(None)


def event(number: int, size: int = 100) -> CloudEvent:
    attributes = {"id": str(number), "source": "/replog/events", "type": "replog.record.failed", "partitionkey": "ü"}
    return CloudEvent(attributes, b"x" * size)


async def started(broker: Broker, **timings: float) -> OutcomeTopic:
    topic = OutcomeTopic(broker, **timings)
    await topic.start()
    return topic


async def test_they_are_cloud_events_in_binary_mode_in_order() -> None:
    broker = Broker()
    await (await started(broker)).send([event(number) for number in range(5)])
    assert [headers["ce_id"] for _, _, headers in broker.taken] == [b"0", b"1", b"2", b"3", b"4"]
    key, value, headers = broker.taken[0]
    assert (key, value) == ("ü".encode(), b"x" * 100)
    assert {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"} <= headers.keys()


async def test_what_is_too_large_together_is_sent_one_by_one() -> None:
    broker = Broker(max_bytes=150)
    await (await started(broker)).send([event(number) for number in range(5)])
    assert [headers["ce_id"] for _, _, headers in broker.taken] == [b"0", b"1", b"2", b"3", b"4"]


async def test_what_is_too_large_by_itself_is_not_dropped() -> None:
    with pytest.raises(BrokerUnavailable, match="the outcomes topic outcomes takes no message of 200 bytes"):
        await (await started(Broker(max_bytes=150))).send([event(0), event(1, 200)])


async def test_a_topic_that_does_not_answer_is_named() -> None:
    broker = Broker()
    broker.answers = False
    topic = await started(broker, timeout_s=0.01, stop_timeout_s=0.01)
    with pytest.raises(BrokerUnavailable, match="the outcomes topic outcomes took nothing"):
        await topic.send([event(0)])
    await topic.stop()
    assert broker.aborted


async def test_what_was_sent_before_a_failure_leaves_no_unretrieved_error() -> None:
    """Which asyncio would report once the acknowledgements are gone."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    broker = Broker()
    broker.refuses_after = 2
    with pytest.raises(BrokerUnavailable, match="does not exist"):
        await (await started(broker)).send([event(number) for number in range(5)])
    await asyncio.sleep(0)
    gc.collect()
    assert reported == []


async def test_before_it_is_connected_it_is_unavailable() -> None:
    with pytest.raises(BrokerUnavailable, match="not connected"):
        await OutcomeTopic(Broker()).send([event(0)])
