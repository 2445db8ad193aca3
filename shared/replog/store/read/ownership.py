"""Ownership of a record: the tasks that it was published with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from replog.store.client.command import Command
from replog.store.format.keys import record_key

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner


async def task_keys_of(connection: CommandRunner, record_id: str) -> list[str]:
    """The keys of the record's tasks; none where it is unknown, or only details of it were seen.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    key = record_key(connection.prefix, record_id)
    (packed,) = await connection.run([Command("HGET", [key], ["tasks"])])
    return [raw.decode() for raw in msgpack.unpackb(packed, raw=True)] if packed else []
