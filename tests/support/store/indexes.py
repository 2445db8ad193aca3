"""Entries of the store's indexes, beside those that the contract asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.store.client.command import Command
from replog.store.format.index_entries import KINDS
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys

if TYPE_CHECKING:
    from replog.store.client.connection import Connection
    from tests.support.model import Model


async def assert_indexes_agree(connection: Connection, record_id: str) -> None:
    keys = RecordKeys(connection.prefix, record_id).all
    details, by_status, by_pair, by_name, fields = await connection.run(
        [
            Command("HLEN", [keys[1]]),
            Command("ZCARD", [keys[2]]),
            Command("ZCARD", [keys[4]]),
            Command("ZCARD", [keys[5]]),
            Command("HGETALL", [keys[0]]),
        ]
    )
    assert by_status == by_pair == details
    assert by_name <= details * len(KINDS)
    counts = dict(zip(fields[::2], fields[1::2], strict=True)) if isinstance(fields, list) else fields
    of_pairs = [value.split(b",") for name, value in counts.items() if name[:1] == b"f" and name != b"facts"]
    assert sum(int(number) for numbers in of_pairs for number in numbers) == details
    assert sum(int(counts.get(name, 0)) for name in (b"nS", b"nF", b"nR")) == details


async def indexed(connection: Connection) -> set[bytes]:
    """What the index holds, of all buckets."""
    keys = [BucketKeys(connection.prefix, number).tasks for number in range(BUCKETS)]
    replies = await connection.run([Command("ZRANGE", [key], (0, -1)) for key in keys])
    entries = [entry for entries in replies for entry in entries]
    assert len(set(entries)) == len(entries)
    return set(entries)


def to_be_indexed(model: Model) -> set[bytes]:
    """What it has to hold, by the keyspace's words."""
    entries = set[bytes]()
    for task in model.tasks():
        key, record = task["taskKey"].encode(), task["record"]
        time = (model._records[record["id"]].active_us() // 1000 + 2**46).to_bytes(7, "big")
        letter = record["status"][:1].encode()
        entries |= {letter + time + key, b"*" + time + key, b"=" + letter + key + b"\x00" + time}
    return entries
