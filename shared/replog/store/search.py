"""Plans and runs a filtered page of a record's details: which ids stand on it, and how many match in all.

Strategies, the first that fits:

``pairs``    status, cluster and repository decide: totals from the counts of pairs, the page by rank
             (:mod:`replog.store.ranks`)
``names``    the entries of one name's prefix are read from the by-name index (:mod:`replog.store.names`)
``scan``     details are read in order of time, in steps of :data:`STEP`: where no index has every match, and where the
             page is met sooner than all entries of a broad prefix are read
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.records import STATUS_LETTERS
from replog.store.bounded import BYTES_A_CALL, values_of
from replog.store.connection import Call
from replog.store.facets import read_facets
from replog.store.index import ARTIFACT, PACKAGE, PATH, escape
from replog.store.names import Named
from replog.store.ranks import Ranked
from replog.store.rows import StoredDetail
from replog.store.scripts import SEEK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.store.facets import Facets
    from replog.store.filters import DetailFilter
    from replog.store.keys import RecordKeys
    from replog.store.sharing import Runs

#: Entries of a name's prefix that are read as a whole, whatever else would do.
NARROW = 2000
#: Entries of the by-name index that are read in the time of one detail's scanning.
SCANNING_COSTS = 4
#: Details read at once by a scan.
STEP = 250


class Found(NamedTuple):
    """The ids of one page, newest first, and the number of all matches.

    ``version`` is the record's when the search began; ``strategy`` names how the page was found.
    """

    version: bytes
    total: int
    ids: list[bytes]
    strategy: str


class _Glance(NamedTuple):
    """What a search by name begins with."""

    version: bytes | None
    other_paths: int
    other_artifacts: int
    details: int


class Search:
    """One filtered read of one record's details."""

    def __init__(self, connection: Runs, keys: RecordKeys, record_id: str, flt: DetailFilter) -> None:
        self._connection = connection
        self._keys = keys
        self._record_id = record_id
        self._filter = flt

    async def page(self, offset: int, limit: int) -> Found | None:
        """The page of ``limit`` matches from ``offset`` on; None where the record does not exist."""
        if self._filter.by_pair_alone:
            return await self._by_rank(offset, limit)
        glance = await self._glance()
        if glance.version is None:
            return None
        start = self._complete_index(glance)
        if start is None:
            total, ids, strategy = await self._scan(None, offset, limit)
        else:
            total, ids, strategy = await self._by_name(start, glance.details, offset, limit)
        return Found(glance.version, total, ids, strategy)

    async def _by_rank(self, offset: int, limit: int) -> Found | None:
        facets = await self._facets()
        if facets.version is None:
            return None
        ids = await Ranked(self._connection, self._keys, facets).page(offset, limit)
        return Found(facets.version, facets.matches, ids, "pairs")

    async def _facets(self) -> Facets:
        letter = STATUS_LETTERS.get(self._filter.status, b"")
        return await read_facets(self._connection, self._keys, self._filter, letter)

    async def _glance(self) -> _Glance:
        (version, other_paths, other_artifacts), details = await self._connection.run(
            [Call("HMGET", [self._keys.record], ["v", "s3", "s4"]), Call("ZCARD", [self._keys.time])]
        )
        return _Glance(version, int(other_paths or 0), int(other_artifacts or 0), details)

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

    async def _by_name(self, start: bytes, details: int, offset: int, limit: int) -> tuple[int, list[bytes], str]:
        """A page by the by-name index; the record has so many ``details``."""
        flt = self._filter
        letters = [STATUS_LETTERS[flt.status]] if flt.status else list(STATUS_LETTERS.values())
        named = Named(
            self._connection,
            self._keys.by_name,
            [letter + start for letter in letters],
            pairs=await self._pairs(),
            admits=self._admitted if self._has_more_than_one_name else None,
        )
        entries = await named.count()
        if self._name_decides and entries > NARROW:
            if offset >= entries:
                return entries, [], "names"
            # A page near the newest is met soon by reading in order of time; the fewer match, the later.
            to_be_scanned = (offset + limit) * details // entries
            if to_be_scanned < entries // SCANNING_COSTS:
                return await self._scan(entries, offset, limit)
        return *await named.page(offset, limit), "names"

    async def _pairs(self) -> set[bytes] | None:
        if not (self._filter.cluster_name or self._filter.repo_name):
            return None
        return {head[:-1] for head in (await self._facets()).matching}

    @property
    def _has_more_than_one_name(self) -> bool:
        flt = self._filter
        return bool(flt.version) or sum(map(bool, (flt.package_name, flt.path, flt.artifact_name))) > 1

    @property
    def _name_decides(self) -> bool:
        """Whether every entry of the name's prefix (of the status) is a match."""
        return not (self._has_more_than_one_name or self._filter.cluster_name or self._filter.repo_name)

    async def _admitted(self, ids: list[bytes]) -> set[bytes]:
        values = values_of(self._connection, self._keys.details, ids)
        return {detail_id async for detail_id, value in values if self._matches(detail_id, value)}

    async def _scan(self, total: int | None, offset: int, limit: int) -> tuple[int, list[bytes], str]:
        """Read in order of time; to the end where ``total`` is not known, else until the page is full."""
        seen, ids, needle = 0, list[bytes](), self._filter.needle
        async for detail_id, value in scan(self._connection, self._keys.time, self._keys.details):
            if needle not in value or not self._matches(detail_id, value):
                continue
            if offset <= seen < offset + limit:
                ids.append(detail_id)
            seen += 1
            if total is not None and len(ids) == min(limit, total - offset):
                break
        return seen if total is None else total, ids, "scan"

    def _matches(self, detail_id: bytes, value: bytes) -> bool:
        return self._filter.matches(StoredDetail(self._record_id, detail_id, value).read())


async def scan(connection: Runs, time_key: bytes, values_key: bytes | None) -> AsyncIterator[tuple[bytes, bytes]]:
    """All ids of a time index, newest first, with their values in a hash (``b""`` where no hash is given).

    What is added, moved or removed meanwhile may or may not be seen; nothing else is missed or seen twice.
    """
    keys = [time_key] if values_key is None else [time_key, values_key]
    score, last, wary = b"", b"", 0
    while True:
        ((scored, values),) = await connection.run([Call(SEEK, keys, [STEP, score, last, BYTES_A_CALL, wary])])
        ids = scored[::2]
        # Of wide values only the first were read.
        read = len(values) if values_key else len(ids)
        for member, value in zip(ids[:read], values or [b""] * read, strict=True):
            if value is not None:
                yield member, value
        if read == len(ids) < STEP:
            return
        last, score = scored[2 * read - 2 : 2 * read]
        wary = int(read < len(ids))
