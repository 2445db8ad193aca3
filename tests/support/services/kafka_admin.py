"""What tests ask of a broker before the project does: whether it answers, and topics made and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from tests.support.services.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Partitions of every topic that tests make; the embedded broker knows no other number.
PARTITIONS = 4
#: How long a broker may take to answer one request.
ANSWER_TIMEOUT_S = 2.0
#: How long a new topic may take until every partition has a leader.
TOPIC_TIMEOUT_S = 20.0


def answers(address: str) -> bool:
    """Whether a broker at ``address`` takes requests."""
    try:
        return bool(_admin(address).list_topics(timeout=ANSWER_TIMEOUT_S).brokers)
    except KafkaException:
        return False


def create_topics(address: str, names: Sequence[str]) -> None:
    """Make the topics ``names`` and return once they can be written to."""
    admin = _admin(address)
    topics = [NewTopic(name, num_partitions=PARTITIONS) for name in names]
    for created in admin.create_topics(topics, request_timeout=TOPIC_TIMEOUT_S).values():
        created.result()
    _wait_for_leaders(admin, names)
    # A broker names itself as a partition's leader a moment before it answers as one.
    for name in names:
        if not wait_until(lambda name=name: _is_empty(admin, name), TOPIC_TIMEOUT_S):  # type: ignore[misc]
            raise TimeoutError(f"topic {name} had no ends in {TOPIC_TIMEOUT_S:.0f} s")


def touch_topics(address: str, names: Sequence[str]) -> None:
    """As :func:`create_topics`, for a broker whose topics appear when they are first asked for."""
    _wait_for_leaders(_admin(address), names)


def delete_topics(address: str, names: Sequence[str]) -> None:
    """Remove the topics ``names``."""
    # By a name: a client that nobody holds ends before its answers come.
    admin = _admin(address)
    for deleted in admin.delete_topics(list(names), request_timeout=TOPIC_TIMEOUT_S).values():
        deleted.result()


def make_topic_anew(address: str, name: str) -> None:
    """Delete the topic and make it again, with nothing in it.

    A client that asks for it in between may be what makes it.
    """
    delete_topics(address, [name])
    touch_topics(address, [name])
    # Brokers learn later than their controller that the former one is gone.
    admin = _admin(address)
    if not wait_until(lambda: _is_empty(admin, name), TOPIC_TIMEOUT_S):
        raise TimeoutError(f"topic {name} had something in it {TOPIC_TIMEOUT_S:.0f} s after it was made anew")


def ends_of(admin: AdminClient, topic: str, numbers: Iterable[int], timeout_s: float) -> dict[int, int]:
    """The ends of these partitions. Raises KafkaException, TimeoutError."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    found = admin.list_offsets({TopicPartition(topic, number): latest for number in numbers})
    return {partition.partition: answer.result(timeout_s).offset for partition, answer in found.items()}


def _wait_for_leaders(admin: AdminClient, names: Sequence[str]) -> None:
    for name in names:
        if not wait_until(lambda name=name: _has_leaders(admin, name), TOPIC_TIMEOUT_S):  # type: ignore[misc]
            raise TimeoutError(f"topic {name} had no leaders in {TOPIC_TIMEOUT_S:.0f} s")


def _has_leaders(admin: AdminClient, name: str) -> bool:
    topic = admin.list_topics(name, timeout=ANSWER_TIMEOUT_S).topics[name]
    partitions = topic.partitions.values()
    return len(partitions) == PARTITIONS and all(partition.error is None for partition in partitions)


def _is_empty(admin: AdminClient, name: str) -> bool:
    try:
        return not any(ends_of(admin, name, range(PARTITIONS), ANSWER_TIMEOUT_S).values())
    except (KafkaException, TimeoutError):
        return False


def _admin(address: str) -> AdminClient:
    # Refused connections are an answer here, nothing to log.
    return AdminClient({"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.max.ms": 200})
