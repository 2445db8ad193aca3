"""What reads what the client fetches; tests/contract tries it on brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState

from replog_collector.kafka.fetch.fetched_records import FetchedRecords
from replog_collector.kafka.fetch.safe_consumer import SafeConsumer, _with_names
from tests.support import batches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARTITION = TopicPartition("t", 0)


class Answer:
    """What a broker answers a fetch of one partition with, in the shape of the fourth version."""

    API_VERSION = 4

    def __init__(self, data: bytes) -> None:
        self.topics = [("t", [(0, 0, 9, 9, None, data)])]


class Request:
    topics = (("t", [(0, 0, 1)]),)


@pytest.fixture
async def fetcher() -> AsyncIterator[Any]:
    """The fetcher of a client that is assigned one partition, and has not asked for anything."""
    consumer = SafeConsumer(max_batch_bytes=1000)
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user([PARTITION])
    subscriptions.subscription.assignment.state_value(PARTITION).seek(0)
    client = AIOKafkaClient()
    made = consumer._made_fetcher(client, subscriptions)
    yield made
    await made.close()
    await client.close()
    await consumer.stop()  # type: ignore[no-untyped-call]


async def test_what_is_fetched_is_read_with_what_does_not_raise(fetcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(*_: Any) -> Answer:
        return Answer(batches.batch([batches.Raw(b"v")]))

    monkeypatch.setattr(fetcher._client, "send", send)
    assert await fetcher._proc_fetch_request(fetcher._subscriptions.subscription.assignment, 0, Request)
    assert isinstance(fetcher._records[PARTITION]._partition_records, FetchedRecords)


def test_a_client_library_that_names_things_otherwise_is_found_out() -> None:
    with pytest.raises(RuntimeError, match=r"Fetcher\._proc_fetch_request does not use Records"):
        _with_names(Fetcher._proc_fetch_request, Records=object)
