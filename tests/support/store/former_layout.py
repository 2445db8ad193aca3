"""Stores of layout 1, the layout before this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.records import start_ms
from replog.store.client.command import Command
from replog.store.format import detail_codec
from replog.store.format.keys import RecordKeys
from replog.store.format.layout import Mark, all_buckets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog.store.client.pipelining import CommandRunner


async def turn_back(connection: CommandRunner, record_ids: Iterable[str]) -> None:
    """Make of a store of layout 2, which has ``record_ids``, one of layout 1; no process may write meanwhile.

    It has details by time, and a field for each number of a pair.
    """
    for record_id in record_ids:
        await _turn_record_back(connection, RecordKeys(connection.prefix, record_id))
    mark = Mark(1, "0.1.0").encoded()
    await connection.run([Command("SET", [bucket.layout], [mark]) for bucket in all_buckets(connection.prefix)])


async def _turn_record_back(connection: CommandRunner, keys: RecordKeys) -> None:
    values, fields = await connection.run(
        [Command("HGETALL", [keys.details]), Command("HGETALL", [keys.record])],
    )
    starts = {raw_id: start_ms(detail_codec.unpack(value).start) for raw_id, value in _pairs(values)}
    (time_key,) = keys.former
    calls = [Command("ZADD", [time_key], [ms, raw_id]) for raw_id, ms in starts.items()]
    for name, numbers in _pairs(fields):
        if name[:1] == b"f" and b"," in numbers and name != b"facts":
            calls.append(Command("HDEL", [keys.record], [name]))
            of_status = zip((b"R", b"S", b"F"), numbers.split(b","), strict=True)
            calls += [Command("HSET", [keys.record], [name + letter, number]) for letter, number in of_status]
    await connection.run([*calls, Command("UNLINK", [keys.by_status])])


def _pairs(reply: dict[bytes, bytes] | list[bytes]) -> list[tuple[bytes, bytes]]:
    return [*reply.items()] if isinstance(reply, dict) else [*zip(reply[::2], reply[1::2], strict=True)]
