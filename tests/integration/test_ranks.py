"""Ranks of details in the order of time, found by scripts in an index that is in order status by status."""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.resources import files
from itertools import chain, product
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replog.records import MS_BIAS
from replog.statuses import LETTERS, SORTED_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import FOLLOW, PLACE
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.read.newest_first import TOP
from tests.support.administered import AdministeredConnection
from tests.support.services.redis import remove_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from replog.store.client.pipelining import CommandRunner

#: Letters of statuses that are asked for together.
KINDS = (b"F", b"R", b"S", b"FS", b"RS", b"FRS", b"SRF")
#: Details that are merged one by one: as many as usual, and so few that searches take every step there is.
NEARS = (32, 2, 0)
MANY = 2000


class Detail(NamedTuple):
    """A detail, as far as its place goes."""

    ms: int
    id: bytes
    letter: bytes

    @property
    def place(self) -> bytes:
        """Its time and id, as in its entry."""
        return (self.ms + MS_BIAS).to_bytes(TIME_BYTES, "big") + self.id


class Asked(NamedTuple):
    """A page that is asked for; ``near`` is the limit of details that are merged one by one."""

    letters: bytes
    offset: int
    limit: int
    near: int


class Index:
    """An index of these details, and what it has to answer."""

    def __init__(self, connection: CommandRunner, details: Iterable[Detail]) -> None:
        self._connection = connection
        self._key = b"%b:{0}:ranks" % connection.prefix.encode()
        self._record = b"%b:{0}:counts" % connection.prefix.encode()
        self._probes = b"%b:{0}:probes" % connection.prefix.encode()
        self._details = sorted(details, reverse=True)

    async def fill(self) -> None:
        """Write the entries, and no others."""
        entries = [each.letter + each.place for each in self._details]
        counts = Counter(each.letter for each in self._details)
        await self._connection.run([Command("DEL", [self._key]), Command("DEL", [self._record])])
        await self._connection.run(
            [Command("HSET", [self._record], ["v", 1, *chain(*((b"n" + of, number) for of, number in counts.items()))])]
        )
        await self._connection.run([Command("ZADD", [self._key], [0, entry]) for entry in entries])

    def places(self, letters: bytes) -> list[bytes]:
        """Those of the details of these statuses, in order."""
        return [each.place for each in self._details if each.letter in letters]

    async def page(self, asked: Asked) -> tuple[int, list[bytes], int]:
        """Number, places on the page, and entries whose place in all statuses was looked up."""
        await self._connection.run([Command("SET", [self._probes], [0])])
        keys = [self._key, self._probes, self._record]
        words = [_paging(asked.near), 3, *keys, asked.letters, asked.offset, asked.limit, SORTED_LETTERS]
        ((total, places), probes) = await self._connection.run(
            [Command("EVAL", [], words), Command("GET", [self._probes])]
        )
        return total, places, int(probes)

    async def behind(self, letters: bytes, count: int, place: bytes) -> bytes:
        """The place of the last of so many that follow another."""
        found: bytes
        words = [letters, count, place, SORTED_LETTERS]
        (found,) = await self._connection.run([Command(PLACE, [self._record, self._key], words)])
        return found

    async def follow(self, letters: bytes, limit: int, place: bytes) -> list[bytes]:
        """The places that follow another."""
        keys = [self._record, b"%b:{0}:nothing" % self._connection.prefix.encode(), self._key]
        (found,) = await self._connection.run([Command(FOLLOW, keys, [letters, limit, place, 1, 0, SORTED_LETTERS])])
        places: list[bytes] = found[0]
        return places


def _paging(near: int) -> str:
    """A script that reads a page, with another limit, and counts its probes."""
    folder = files("replog.store") / "read"
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in ("less.lua", "details/ranks.lua"))
    for line, changed in (
        ("local NEAR = 32\n", f"local NEAR = {near}\n"),
        ("probes = probes + 1\n", "probes = probes + 1\n    redis.call('INCR', KEYS[2])\n"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, changed)
    return f"""{text}
local parts, total = parts_of(KEYS[3], ARGV[1], ARGV[4])
return {{ total, page_of(KEYS[1], parts, total, tonumber(ARGV[2]), tonumber(ARGV[3])) }}"""


@pytest.fixture
async def store(redis_url: str, redis_prefix: str) -> AsyncIterator[CommandRunner]:
    async with AdministeredConnection(redis_url, redis_prefix, timeout_s=10) as connection:
        yield connection


#: Times that many share, beside those at both ends; ids whose bytes are greater than those of their statuses' letters.
details = st.lists(
    st.builds(
        Detail,
        st.integers(0, 5) | st.integers(-(2**45), 2**45),
        st.binary(min_size=1, max_size=3) | st.sampled_from((b"a", b"ab", b"\x7f", b"\xff", b"\x00")),
        st.sampled_from(LETTERS),
    ),
    max_size=40,
    unique_by=lambda each: each.id,
)


pages = st.builds(Asked, st.sampled_from(KINDS), st.integers(0, 45), st.integers(1, 45), st.sampled_from(NEARS))


@given(details, pages)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_any_page_is_that_of_the_order(redis_url: str, redis_prefix: str, some: list[Detail], asked: Asked) -> None:
    async def check() -> None:
        async with AdministeredConnection(redis_url, redis_prefix, timeout_s=10) as connection:
            index = Index(connection, some)
            await index.fill()
            total, found, _ = await index.page(asked)
            places = index.places(asked.letters)
            assert (total, found) == (len(places), places[asked.offset : asked.offset + asked.limit])

    asyncio.run(check())
    remove_keys(redis_url, redis_prefix)


def spread(of: Callable[[Random, int], bytes], ms: Callable[[int], int]) -> list[Detail]:
    """Many details: the status and the time of each by its number."""
    chance = Random(3)
    return [Detail(ms(number), b"%024x" % chance.getrandbits(96), of(chance, number)) for number in range(MANY)]


def mostly_success(chance: Random, _: int) -> bytes:
    return chance.choices((b"S", b"F", b"R"), (8, 1, 1))[0]


#: How statuses lie in time, and the most probes for a page, at a limit of 2 and 32 merged details.
SPREADS = {
    "evenly": (spread(mostly_success, lambda number: number * 20), 6),
    "all at once": (spread(mostly_success, lambda _: 7), 6),
    "in bursts": (spread(mostly_success, lambda number: number // 500 * 10**9), 6),
    "RUNNING ones last": (spread(lambda _, number: b"R" if number > MANY - 300 else b"S", lambda number: number), 24),
    "one after the other": (
        spread(lambda _, number: (b"R", b"F", b"S")[number * 3 // MANY], lambda number: number),
        24,
    ),
    "one failure": (spread(lambda _, number: b"F" if number == 700 else b"S", lambda number: number), 12),
    "in turn": (spread(lambda _, number: (b"R", b"F", b"S")[number // 100 % 3], lambda number: number), 24),
}


@pytest.mark.parametrize("name", SPREADS)
async def test_few_probes_find_a_page_whatever_statuses_lie_like(store: CommandRunner, name: str) -> None:
    some, most = SPREADS[name]
    index = Index(store, some)
    await index.fill()
    offsets = [0, 1, 31, 33, *range(90, MANY, 170), MANY - 25, MANY - 1, MANY]
    for letters, near, offset in product((b"FRS", b"FS", b"F"), (32, 2), offsets):
        places = index.places(letters)
        total, found, probes = await index.page(Asked(letters, offset, 20, near))
        assert (total, found) == (len(places), places[offset : offset + 20]), (letters, near, offset)
        assert probes <= (most if len(letters) > 1 else 0), (letters, near, offset)


@pytest.mark.parametrize("name", ["evenly", "all at once", "one after the other"])
async def test_a_place_is_found_behind_another(store: CommandRunner, name: str) -> None:
    """Also where that is of no detail any more."""
    index = Index(store, SPREADS[name][0])
    await index.fill()
    for letters, at, count in product((b"FRS", b"S"), (-1, 0, 40, MANY // 2), (1, 33, 1000, 2 * MANY)):
        places = index.places(letters)
        if at >= len(places):
            continue
        place = places[at] if at >= 0 else TOP
        last = places[min(at + count, len(places) - 1)]
        assert await index.behind(letters, count, place) == last
        gone = place + b"0" if at >= 0 else place
        assert await index.behind(letters, count, gone) in places
        assert await index.behind(letters, 1, places[-1]) == b""
    assert await Index(store, []).behind(b"", 1, TOP) == b""


@pytest.mark.parametrize("name", ["evenly", "all at once", "in bursts", "one after the other", "one failure"])
async def test_what_follows_a_place_is_read_in_order(store: CommandRunner, name: str) -> None:
    index = Index(store, SPREADS[name][0])
    await index.fill()
    for letters, at, limit in product((b"FRS", b"RF", b"S"), (-1, 0, MANY // 2, MANY - 3), (1, 40, 1000)):
        places = index.places(letters)
        place = places[min(at, len(places) - 1)] if at >= 0 else TOP
        assert await index.follow(letters, limit, place) == [each for each in places if each < place][:limit]
