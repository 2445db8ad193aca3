"""How the tests' own brokers are set up: controller and broker in one process, fast and small."""

from __future__ import annotations

from tests.support.services.kafka_admin import PARTITIONS

#: Room for events beyond the contract's limit, which the collector has to dead-letter.
MESSAGE_MAX_BYTES = 4 * 1024 * 1024


def broker_properties(*, listeners: str, advertised: str, controller: str) -> dict[str, str]:
    """The properties of a KRaft node that listens at ``listeners``, is reached at ``advertised``, and is alone."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{listeners},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{advertised}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{controller}",
        "auto.create.topics.enable": "true",
        "num.partitions": str(PARTITIONS),
        "default.replication.factor": "1",
        "message.max.bytes": str(MESSAGE_MAX_BYTES),
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # Tests of dead collectors do not wait for the default of 6 s.
        "group.min.session.timeout.ms": "500",
        # A broker that was killed is let in again once its old session ended; the default is 9 s.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # Index files are allocated in full; the default of 10 MiB a partition is for production.
        "log.index.size.max.bytes": "262144",
    }


def cluster_properties(node: int, controllers: dict[int, str]) -> dict[str, str]:
    """What is different where the ``node`` is one of several, each a controller too: three copies of everything.

    Topics are made when somebody makes them, and not when somebody asks for them.
    """
    return {
        "node.id": str(node),
        "controller.quorum.voters": ",".join(f"{number}@{address}" for number, address in controllers.items()),
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(len(controllers)),
        "min.insync.replicas": "2",
        "offsets.topic.replication.factor": str(len(controllers)),
    }
