"""Short ids are made in two places: where entries are written, and by scripts that count what lies before a rank."""

from __future__ import annotations

import random
from importlib.resources import files

from replog.store.client.command import Command
from replog.store.format.short_ids import short_of
from tests.support.administered import AdministeredConnection

#: Of digits, what lies beside and between them, and bytes of longer characters.
_CHARACTERS = b"\x00+,-./0189:@Z`abefgz\x7f\xc3\xff"


async def test_scripts_make_the_same_short_ids(redis_url: str) -> None:
    """Of every single byte, of every length, and of any mix."""
    chance = random.Random(9)
    ids = [bytes(chance.choices(_CHARACTERS, k=chance.randint(1, 40))) for _ in range(300)]
    ids += [bytes([code]) for code in range(256)] + [b"0f" * size for size in range(1, 64)]
    tails = (files("replog.store") / "read" / "tails.lua").read_text(encoding="utf-8")
    script = f"{tails}\nreturn short(ARGV[1])"
    async with AdministeredConnection(redis_url, "replog:", timeout_s=10) as connection:
        shorts = await connection.run([Command("EVAL", [], [script, 0, detail_id]) for detail_id in ids])
    assert shorts == [short_of(detail_id) for detail_id in ids]
