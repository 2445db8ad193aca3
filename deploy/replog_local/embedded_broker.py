"""An embedded broker that speaks the Kafka protocol: librdkafka's mock cluster, as a process.

``python -m replog_local.embedded_broker [TOPIC ...]`` prints its address (``host:port``) as one line once the
topics exist, and ends with exit code 0 on SIGTERM. Topics have 4 partitions and are created on first use. The broker
keeps about the last 5 MB of each partition, in memory only, and supports one member in each consumer group.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import cimpl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTITIONS = 4
_PRODUCER = 0
_ERROR_BYTES = 512
#: The address of the client that the mock cluster belongs to is never used: the cluster replaces it with its own.
_CONFIGURATION = {b"bootstrap.servers": b"127.0.0.1:1", b"test.mock.num.brokers": b"1"}


def _librdkafka() -> ctypes.CDLL:
    """The library that the client of the same distribution is linked to: its Python interface has no mock cluster."""
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "rd_kafka_conf_new": (pointer, ()),
        "rd_kafka_conf_set": (number, (pointer, text, text, text, ctypes.c_size_t)),
        "rd_kafka_conf_set_log_cb": (None, (pointer, pointer)),
        "rd_kafka_new": (pointer, (number, pointer, text, ctypes.c_size_t)),
        "rd_kafka_destroy": (None, (pointer,)),
        "rd_kafka_handle_mock_cluster": (pointer, (pointer,)),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (pointer, ctypes.c_int32)),
        "rd_kafka_mock_topic_create": (number, (pointer, text, number, number)),
        "rd_kafka_mock_cluster_bootstraps": (text, (pointer,)),
    }
    for name, (returned, taken) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returned, taken
    return library


@contextmanager
def running(topics: Sequence[str]) -> Iterator[str]:
    """Run the broker with ``topics``. Yields its address.

    Raises:
        RuntimeError: librdkafka does not start it.
    """
    library = _librdkafka()
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    configuration = library.rd_kafka_conf_new()
    for name, value in _CONFIGURATION.items():
        library.rd_kafka_conf_set(configuration, name, value, error, _ERROR_BYTES)
    library.rd_kafka_conf_set_log_cb(configuration, None)
    client = library.rd_kafka_new(_PRODUCER, configuration, error, _ERROR_BYTES)
    if client is None:
        raise RuntimeError(error.value.decode())
    try:
        cluster = library.rd_kafka_handle_mock_cluster(client)
        # A group has one member: waiting 3 s for others, as by default, would only delay it.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
        for topic in topics:
            library.rd_kafka_mock_topic_create(cluster, topic.encode(), PARTITIONS, 1)
        yield library.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    finally:
        library.rd_kafka_destroy(client)


def main() -> None:
    """Run the broker until SIGTERM or SIGINT."""
    ends = {signal.SIGTERM, signal.SIGINT}
    # Signals are blocked before librdkafka starts its threads, which inherit the mask; sigwait below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with running(sys.argv[1:]) as address:
        print(address, flush=True)  # noqa: T201 - the parent process reads this line
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
