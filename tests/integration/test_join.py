"""Scripts join registers as Python does, whatever the codes of facts are."""

from __future__ import annotations

import random
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgpack

from replog.records import Registers, join
from replog.state import kinds_of, registers_of
from replog.store.client.command import Command
from tests.support.administered import AdministeredConnection
from tests.support.one_more_field import StartedWithMimeType, canonical, content_of, event_of, relettered

if TYPE_CHECKING:
    from replog.records import FactsFormat

CASES = 400
_JOIN = """
local state = cmsgpack.unpack(ARGV[1])
join(state, cmsgpack.unpack(ARGV[2]), 1, 5, 2, ARGV[3])
return state
"""
#: Few, so that contents differ late; what JSON escapes, and what looks like a code.
_TEXTS = ["", "a", "b", 'a,"c":', "{", ",", '"', "é"]


def some_facts(chance: random.Random) -> dict[str, Any]:
    names = ["localCluster", "mimeType", "packageKey", "path", "version"]
    content: dict[str, Any] = {name: chance.choice(_TEXTS) for name in chance.sample(names, chance.randint(0, 3))}
    if chance.random() < 1 / 3:
        content["versions"] = chance.choices(_TEXTS, k=chance.randint(0, 3))
    if chance.random() < 1 / 3:
        content["size"] = chance.choice([0, 9, 10, 2**63 - 1])
    return content


def registers(content: dict[str, Any], table: FactsFormat) -> Registers:
    return registers_of(event_of(content), kinds_of([StartedWithMimeType], table))


async def test_ties_of_facts_are_decided_by_names(redis_url: str) -> None:
    chance = random.Random(13)
    order = (files("replog.store") / "write" / "order.lua").read_text(encoding="utf-8")
    calls, expected = [], []
    for _ in range(CASES):
        table, contents = relettered(chance), [some_facts(chance), some_facts(chance)]
        a, b = (registers(content, table) for content in contents)
        packed = [msgpack.packb(list(each), use_bin_type=False) for each in (a, b)]
        calls += [Command("EVAL", [], [order + _JOIN, 0, *each, table.order]) for each in (packed, packed[::-1])]
        joined = join(a, b, table)
        assert content_of(joined, table) == max(contents, key=lambda content: (bool(content), canonical(content)))
        expected += [list(joined)] * 2
    async with AdministeredConnection(redis_url, "replog:", timeout_s=30) as connection:
        assert await connection.run(calls) == expected


async def test_an_older_script_keeps_what_it_does_not_know(redis_url: str) -> None:
    order = (files("replog.store") / "write" / "order.lua").read_text(encoding="utf-8")
    chance = random.Random(1)
    table = relettered(chance)
    later, known = registers({"mimeType": "a", "path": "b"}, table), registers({"versions": ["9"]}, table)
    packed = [msgpack.packb(list(each), use_bin_type=False) for each in (later, known)]
    codes = table.order.replace(table.codes["mime_type"], "")
    async with AdministeredConnection(redis_url, "replog:", timeout_s=30) as connection:
        calls = [Command("EVAL", [], [order + _JOIN, 0, *each, codes]) for each in (packed, packed[::-1])]
        assert await connection.run(calls) == [list(later)] * 2
