"""A worker that dies in mid-transaction: its messages are in the topic, and its transaction stays open.

Takes the brokers' address, the topic, and after how many seconds the broker aborts the transaction; messages come as
lines of JSON, [key, value]. Prints a line once they are in the topic, and waits to be killed.
"""

from __future__ import annotations

import json
import sys

from confluent_kafka import Producer

DEADLINE_S = 30.0


def main(address: str, topic: str, timeout_s: str) -> None:
    """Publish what comes, and end nothing."""
    producer = Producer(
        {"bootstrap.servers": address, "transactional.id": "torn", "transaction.timeout.ms": int(timeout_s) * 1000}
    )
    producer.init_transactions(DEADLINE_S)
    producer.begin_transaction()
    for line in sys.stdin:
        key, value = json.loads(line)
        producer.produce(topic, value, key)
    if producer.flush(DEADLINE_S):
        raise SystemExit("not all is in the topic")
    print("open", flush=True)  # noqa: T201 - who started it waits for this
    while True:
        # Its heart goes on until it is killed.
        producer.poll(DEADLINE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
