"""Batches of events given as JSON objects, and the removal of what they leave."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from replog.events import parse
from replog.store.client.command import Command
from replog.store.format.keys import RecordKeys, task_bucket, task_keys
from replog.store.write.batch import Batch
from tests.support.strategies import RECORD_IDS, TASK_KEYS

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from replog.store.client.connection import Connection
    from tests.support.strategies import Event


def batch_of(events: Iterable[Event]) -> Batch:
    batch = Batch()
    for event in events:
        batch.add(parse(json.dumps(event).encode()))
    return batch


async def forget(connection: Connection) -> None:
    """Remove the records and tasks that the streams speak of."""
    keys = [RecordKeys(connection.prefix, record_id).all for record_id in RECORD_IDS]
    keys += [task_keys(connection.prefix, task_key) for task_key in TASK_KEYS]
    keys += [[task_bucket(connection.prefix, task_key).tasks] for task_key in TASK_KEYS]
    await connection.run([Command("UNLINK", keys_of_one) for keys_of_one in keys])


def many_events(chance: random.Random, count: int) -> list[Event]:
    kinds = ("detail.started", "detail.progressed", "detail.finished", "record.started", "record.finished")
    return [
        {
            "type": (kind := chance.choice(kinds)),
            "recordId": f"r{chance.randrange(3)}",
            "eventTime": f"2021-05-12T12:{chance.randrange(60):02}:{chance.randrange(60):02}Z",
            "attempt": chance.randrange(2),
            **({"taskKey": f"t{chance.randrange(2)}"} if kind.startswith("record") else {}),
            **({"detailId": f"d{chance.randrange(20)}"} if kind.startswith("detail") else {}),
            **({"progress": {"totalSize": chance.randrange(9)}} if kind == "detail.progressed" else {}),
            **({"status": chance.choice(["SUCCESS", "FAILED"])} if kind.endswith("finished") else {}),
            **({"remoteCluster": chance.choice(["a", "ab", "b"])} if kind == "detail.started" else {}),
        }
        for _ in range(count)
    ]
