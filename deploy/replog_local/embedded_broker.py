"""An embedded broker that speaks the Kafka protocol: librdkafka's mock cluster, as a process.

``python -m replog_local.embedded_broker [TOPIC ...]`` prints its address (``host:port``) as one line once the
topics exist, and ends with exit code 0 on SIGTERM. Topics have 4 partitions and are created on first use. The broker
keeps about the last 5 MB of each partition, in memory only, and supports one member in each consumer group.
"""

from __future__ import annotations

import logging
import signal
import sys

from confluent_kafka import Producer

#: Seconds that one response of the broker may take.
ANSWER_TIMEOUT_S = 10.0


def start(topics: list[str]) -> tuple[Producer, str]:
    """Start the broker with ``topics``. Returns the object that keeps it alive, and its address."""
    silent = logging.getLogger("replog_local.embedded_broker.librdkafka")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    # The address is never used: the mock cluster replaces it with its own.
    configuration = {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1}
    cluster = Producer(configuration, logger=silent)
    for topic in topics:
        cluster.list_topics(topic, timeout=ANSWER_TIMEOUT_S)
    brokers = cluster.list_topics(timeout=ANSWER_TIMEOUT_S).brokers
    return cluster, ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())


def main() -> None:
    """Run the broker until SIGTERM or SIGINT."""
    ends = {signal.SIGTERM, signal.SIGINT}
    # Signals are blocked before librdkafka starts its threads, which inherit the mask; sigwait below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    cluster, address = start(sys.argv[1:])
    print(address, flush=True)  # noqa: T201 - the parent process reads this line
    signal.sigwait(ends)
    del cluster


if __name__ == "__main__":
    main()
