"""Plans and runs a filtered page of a record's details: which ids stand on it, and how many match in all.

Strategies, the first that fits:

``pairs``    status, cluster and repository decide: totals from the counts of pairs, the page by rank selection
``names``    the entries of one name's prefix are read from the by-name index and sorted
``scan``     details are read in order of time, in steps of :data:`STEP`: where no index has every match, and where the
             page is met sooner than all entries of a broad prefix are read
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from replog.records import MS_BIAS, STATUS_LETTERS
from replog.store.connection import Call
from replog.store.index import ARTIFACT, PACKAGE, PATH, escape
from replog.store.rows import StoredDetail
from replog.store.scripts import COUNT, FETCH, PICK, SEEK
from replog.store.selection import TIME_BYTES, select

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from replog.store.filters import DetailFilter
    from replog.store.keys import RecordKeys
    from replog.store.sharing import Runs

#: Matches of a name's prefix that are read as a whole, whatever else would do.
NARROW = 2000
#: Entries of the by-name index that are read in the time of one detail's scanning.
SCANNING_COSTS = 4
#: Where several conditions beside a name have to be looked up, a prefix with more than this part of all is scanned.
WIDE = 4
#: Members of an index read in one call, and calls sent at once.
MEMBERS_A_CALL = 1000
CALLS_AT_ONCE = 8
#: Details read at once by a scan.
STEP = 500
#: Heads in one script call.
HEADS_A_CALL = 500
#: Members of the pairs index read at once.
PAIRS_A_CALL = 1000

_HEAD_BYTES = 5


class Found(NamedTuple):
    """The ids of one page, newest first, and the number of all matches.

    ``version`` is the record's when the search began; ``strategy`` names how the page was found.
    """

    version: bytes
    total: int
    ids: list[bytes]
    strategy: str


class _Glance(NamedTuple):
    """What every search begins with."""

    version: bytes | None
    other_paths: int
    other_artifacts: int
    details: int
    oldest: list[Any]
    newest: list[Any]
    pairs: list[bytes]


class Search:
    """One filtered read of one record's details."""

    def __init__(self, connection: Runs, keys: RecordKeys, record_id: str, flt: DetailFilter) -> None:
        self._connection = connection
        self._record_key, self._details_key, self._time_key, self._pairs_key = keys.all[:4]
        self._by_pair = LexRanges(connection, keys.all[4], in_names=False)
        self._by_name = LexRanges(connection, keys.all[5], in_names=True)
        self._record_id = record_id
        self._filter = flt

    async def page(self, offset: int, limit: int) -> Found | None:
        """The page of ``limit`` matches from ``offset`` on; None where the record does not exist."""
        glance = await self._glance()
        if glance.version is None:
            return None
        total, ids, strategy = await self._found(glance, offset, limit)
        return Found(glance.version, total, ids, strategy)

    async def _found(self, glance: _Glance, offset: int, limit: int) -> tuple[int, list[bytes], str]:
        sizes = await self._matching_heads(glance.pairs)
        if not sizes:
            return 0, [], "pairs"
        if self._filter.by_pair_alone:
            return await self._by_rank(glance, sizes, offset, limit)
        index = self._complete_index(glance)
        if index is None:
            return await self._scan(None, offset, limit)
        return await self._by_names(index, list(sizes), glance.details, offset, limit)

    async def _glance(self) -> _Glance:
        cluster = escape(self._filter.cluster_name)
        low, high = b"[" + cluster, b"(" + cluster + b"\xff"
        (version, other_paths, other_artifacts), details, oldest, newest, members = await self._connection.run(
            [
                Call("HMGET", [self._record_key], ["v", "s2", "s3"]),
                Call("ZCARD", [self._time_key]),
                Call("ZRANGE", [self._time_key], [0, 0, "WITHSCORES"]),
                Call("ZRANGE", [self._time_key], [-1, -1, "WITHSCORES"]),
                Call("ZRANGEBYLEX", [self._pairs_key], [low, high, "LIMIT", 0, PAIRS_A_CALL]),
            ]
        )
        pairs = await self._matching_pairs(members, high)
        return _Glance(version, int(other_paths or 0), int(other_artifacts or 0), details, oldest, newest, pairs)

    async def _matching_pairs(self, members: list[bytes], high: bytes) -> list[bytes]:
        """Numbers of the pairs whose repository matches, of ``members`` and all that follow them up to ``high``."""
        repo = escape(self._filter.repo_name)
        pairs: list[bytes] = []
        while True:
            # The repository stands behind the first NUL, its own NUL and the number behind it.
            pairs += [member[-4:] for member in members if member.split(b"\x00", 1)[1].startswith(repo)]
            if len(members) < PAIRS_A_CALL:
                return pairs
            bounds = [b"(" + members[-1], high, "LIMIT", 0, PAIRS_A_CALL]
            (members,) = await self._connection.run([Call("ZRANGEBYLEX", [self._pairs_key], bounds)])

    async def _matching_heads(self, pairs: list[bytes]) -> dict[bytes, int]:
        """Pair and status of all details that the filter's pair and status admit, with their numbers."""
        status = self._filter.status
        letters = [STATUS_LETTERS[status]] if status else list(STATUS_LETTERS.values())
        heads = [pair + letter for pair in pairs for letter in letters]
        calls = [
            Call("HMGET", [self._record_key], [b"f" + head for head in heads[i : i + PAIRS_A_CALL]])
            for i in range(0, len(heads), PAIRS_A_CALL)
        ]
        counts = [int(count or 0) for reply in await self._connection.run(calls) for count in reply]
        return {head: count for head, count in zip(heads, counts, strict=True) if count}

    async def _by_rank(
        self, glance: _Glance, sizes: dict[bytes, int], offset: int, limit: int
    ) -> tuple[int, list[bytes], str]:
        oldest, newest = (
            (int(float(end[1])) + MS_BIAS).to_bytes(TIME_BYTES, "big") for end in (glance.oldest, glance.newest)
        )
        tails = await select(self._by_pair, sizes, offset=offset, limit=limit, oldest=oldest, newest=newest)
        return sum(sizes.values()), [tail[TIME_BYTES:] for tail in tails], "pairs"

    def _complete_index(self, glance: _Glance) -> bytes | None:
        """What the filter's first name begins with in the by-name index, if every match is in it."""
        flt = self._filter
        if flt.package_name:
            return PACKAGE + escape(flt.package_name)
        if flt.path:
            return PATH + escape(flt.path) if not glance.other_paths else None
        if flt.artifact_name and not glance.other_artifacts:
            return ARTIFACT + escape(flt.artifact_name)
        return None

    async def _by_names(
        self, low: bytes, heads: list[bytes], details: int, offset: int, limit: int
    ) -> tuple[int, list[bytes], str]:
        """A page by the by-name index; the record has so many ``details``."""
        high = low + b"\xff"
        counts = zip(heads, await self._by_name.count(low, high, heads), strict=True)
        sizes = {head: count for head, count in counts if count}
        total = sum(sizes.values())
        if self._has_more_than_one_name:
            if total > max(NARROW, details // WIDE):
                return await self._scan(None, offset, limit)
            ids = await self._verified(await self._sorted_ids(low, high, sizes))
            return len(ids), ids[offset : offset + limit], "names"
        if offset >= total:
            return total, [], "names"
        # A page near the newest is met soon by reading in order of time; the fewer match, the later.
        to_be_scanned = (offset + limit) * details // total
        if total > NARROW and to_be_scanned < total // SCANNING_COSTS:
            return await self._scan(total, offset, limit)
        ids = await self._sorted_ids(low, high, sizes)
        return total, ids[offset : offset + limit], "names"

    async def _sorted_ids(self, low: bytes, high: bytes, sizes: dict[bytes, int]) -> list[bytes]:
        tails = await self._by_name.fetch_all(low, high, sizes)
        tails.sort(reverse=True)
        return [tail[TIME_BYTES:] for tail in tails]

    @property
    def _has_more_than_one_name(self) -> bool:
        flt = self._filter
        return bool(flt.version) or sum(map(bool, (flt.package_name, flt.path, flt.artifact_name))) > 1

    async def _verified(self, ids: list[bytes]) -> list[bytes]:
        matching: list[bytes] = []
        for i in range(0, len(ids), STEP):
            chunk = ids[i : i + STEP]
            (values,) = await self._connection.run([Call("HMGET", [self._details_key], chunk)])
            matching += [
                detail_id
                for detail_id, value in zip(chunk, values, strict=True)
                if value is not None and self._matches(detail_id, value)
            ]
        return matching

    async def _scan(self, total: int | None, offset: int, limit: int) -> tuple[int, list[bytes], str]:
        """Read in order of time; to the end where ``total`` is not known, else until the page is full."""
        seen, ids = 0, list[bytes]()
        if total is not None and offset >= total:
            return total, ids, "scan"
        async for detail_id, value in scan(self._connection, self._time_key, self._details_key):
            if not self._matches(detail_id, value):
                continue
            if offset <= seen < offset + limit:
                ids.append(detail_id)
            seen += 1
            if total is not None and len(ids) == min(limit, total - offset):
                break
        return seen if total is None else total, ids, "scan"

    def _matches(self, detail_id: bytes, value: bytes) -> bool:
        return self._filter.matches(StoredDetail(self._record_id, detail_id, value).read())


class LexRanges:
    """The ranges of one lex zset in Redis; see :class:`replog.store.selection.Ranges`.

    In the by-name index a name and a NUL stand between head and tail; bounds are then of names.
    """

    def __init__(self, connection: Runs, key: bytes, *, in_names: bool) -> None:
        self._connection = connection
        self._keys = [key]
        self._in_names = in_names

    async def count(self, low: bytes, high: bytes, heads: Sequence[bytes]) -> list[int]:
        """As the protocol says."""
        replies = await self._connection.run([Call(COUNT, self._keys, [low, high, *part]) for part in _parts(heads)])
        return [count for reply in replies for count in reply]

    async def fetch(self, low: bytes, high: bytes, heads: Sequence[bytes]) -> list[bytes]:
        """As the protocol says."""
        replies = await self._connection.run([Call(FETCH, self._keys, [low, high, *part]) for part in _parts(heads)])
        return [self._tail(member) for reply in replies for member in reply]

    async def fetch_all(self, low: bytes, high: bytes, sizes: dict[bytes, int]) -> list[bytes]:
        """As :meth:`fetch` for ranges of any size: no call reads more than :data:`MEMBERS_A_CALL`."""
        small = {head: size for head, size in sizes.items() if size <= MEMBERS_A_CALL}
        calls = [Call(FETCH, self._keys, [low, high, *part]) for part in _parts_by_size(small)]
        for head in sizes.keys() - small.keys():
            calls += await self._slices(head + low, sizes[head])
        tails: list[bytes] = []
        for i in range(0, len(calls), CALLS_AT_ONCE):
            for members in await self._connection.run(calls[i : i + CALLS_AT_ONCE]):
                tails += [self._tail(member) for member in members]
        return tails

    async def _slices(self, first: bytes, size: int) -> list[Call]:
        (rank,) = await self._connection.run([Call("ZLEXCOUNT", self._keys, [b"-", b"(" + first])])
        return [
            Call("ZRANGE", self._keys, [rank + i, rank + min(i + MEMBERS_A_CALL, size) - 1])
            for i in range(0, size, MEMBERS_A_CALL)
        ]

    async def pick(self, head: bytes, low: bytes, index: int) -> bytes:
        """As the protocol says."""
        (member,) = await self._connection.run([Call(PICK, self._keys, [head, low, index])])
        return self._tail(member)

    def _tail(self, member: bytes) -> bytes:
        tail = member[_HEAD_BYTES:]
        return tail.split(b"\x00", 1)[1] if self._in_names else tail


def _parts(heads: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [heads[i : i + HEADS_A_CALL] for i in range(0, len(heads), HEADS_A_CALL)]


def _parts_by_size(sizes: dict[bytes, int]) -> list[list[bytes]]:
    parts: list[list[bytes]] = [[]]
    room = MEMBERS_A_CALL
    for head, size in sizes.items():
        if size > room or len(parts[-1]) == HEADS_A_CALL:
            parts.append([])
            room = MEMBERS_A_CALL
        parts[-1].append(head)
        room -= size
    return [part for part in parts if part]


async def scan(connection: Runs, time_key: bytes, values_key: bytes | None) -> AsyncIterator[tuple[bytes, bytes]]:
    """All ids of a time index, newest first, with their values in a hash (``b""`` where no hash is given).

    What is added, moved or removed meanwhile may or may not be seen; nothing else is missed or seen twice.
    """
    keys = [time_key] if values_key is None else [time_key, values_key]
    score, last = b"", b""
    while True:
        ((scored, values),) = await connection.run([Call(SEEK, keys, [STEP, score, last])])
        ids = scored[::2]
        for member, value in zip(ids, values or [b""] * len(ids), strict=True):
            if value is not None:
                yield member, value
        if len(ids) < STEP:
            return
        last, score = scored[-2:]
