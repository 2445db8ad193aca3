"""Three real brokers of the tests' own: topics have three copies, and what a dead node led goes to another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from confluent_kafka import ElectionType, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.support.services import ServiceUnavailableError
from tests.support.services.kafka_admin import ANSWER_TIMEOUT_S, TOPIC_TIMEOUT_S
from tests.support.services.kafka_maven import MavenBroker, new_cluster_id
from tests.support.services.kafka_settings import cluster_properties
from tests.support.services.process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

NODES = 3
#: How long a node that was started again may take until it has what it missed.
IN_STEP_TIMEOUT_S = 60.0


class KafkaCluster:
    """Apache Kafka in KRaft mode as :data:`NODES` processes, each broker and controller. Makes no topics by itself."""

    kind = "maven"

    def __init__(self, data_dir: Path) -> None:
        cluster_id = new_cluster_id()
        #: By their ids.
        self.nodes: dict[int, MavenBroker] = {}
        for number in range(1, NODES + 1):
            folder = data_dir / f"node{number}"
            folder.mkdir(parents=True)
            self.nodes[number] = MavenBroker(folder, patient=True, cluster_id=cluster_id)
        controllers = {number: node.controller for number, node in self.nodes.items()}
        for number, node in self.nodes.items():
            node.more_properties = cluster_properties(number, controllers)
        self.address = ",".join(node.address for node in self.nodes.values())

    def start(self) -> None:
        """Start all nodes, and return once they take requests.

        Raises:
            ServiceUnavailableError: they do not start; nothing of them runs.
        """
        # At once: none answers before most of them are there.
        try:
            with ThreadPoolExecutor(NODES) as pool:
                for started in [pool.submit(node.start) for node in self.nodes.values()]:
                    started.result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all nodes for good."""
        # Not in order: the last ones would wait for those that are gone.
        for node in self.nodes.values():
            node.resume()
            node.kill()

    def leaders(self, topic: str) -> dict[int, int]:
        """By partition of ``topic``: the id of the node that leads it."""
        partitions = self._admin().list_topics(topic, timeout=ANSWER_TIMEOUT_S).topics[topic].partitions
        return {number: partition.leader for number, partition in partitions.items()}

    def wait_until_in_step(self, topic: str) -> None:
        """Return once every node has everything of ``topic``, and of the groups' commits."""
        if not wait_until(lambda: all(map(self._in_step, (topic, "__consumer_offsets"))), IN_STEP_TIMEOUT_S):
            raise ServiceUnavailableError(f"the copies of {topic} were not in step in {IN_STEP_TIMEOUT_S:.0f} s")

    def elect_preferred_leaders(self, topic: str) -> None:
        """Give each partition of ``topic`` back to the node that is to lead it."""
        partitions = [TopicPartition(topic, number) for number in self.leaders(topic)]
        # By a name: a client that nobody holds ends before its answers come. This call takes no time limit of its own.
        admin = self._admin()
        admin.elect_leaders(ElectionType.PREFERRED, partitions).result(TOPIC_TIMEOUT_S)

    def _in_step(self, topic: str) -> bool:
        partitions = self._admin().list_topics(topic, timeout=ANSWER_TIMEOUT_S).topics[topic].partitions
        return all(len(partition.isrs) == NODES for partition in partitions.values())

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0, "reconnect.backoff.max.ms": 200})


def start_kafka_cluster(data_dir: Path) -> KafkaCluster:
    """Start a cluster that keeps its data in ``data_dir``.

    Raises:
        ServiceUnavailableError: it cannot be started here.
    """
    cluster = KafkaCluster(data_dir)
    cluster.start()
    return cluster
