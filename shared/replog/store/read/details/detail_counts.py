"""Numbers of a record's details by status, for each remote cluster, repository or pair of both.

Nothing is counted here: the record's hash holds the numbers of each pair, kept by the same atomic step as the details.
Reading them takes one call for some 950 pairs. Of more, short calls read 1,000 pairs, or their numbers, each.
"""

from __future__ import annotations

from operator import add, attrgetter
from typing import TYPE_CHECKING

from replog.store.format.index_entries import unescape
from replog.store.format.keys import RecordKeys
from replog.store.read.details.facets import read_pairs
from replog.store.read.filters import DetailFilter
from replog.store.read.results import DetailCount, Versioned
from replog.store.read.versions import ATTEMPTS, VersionRecorder, record_version, version_call

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.details.facets import CountedPairs
    from replog.store.read.results import Grouping


async def detail_counts(
    connection: CommandRunner, record_id: str, by: Grouping, remote_cluster: str = ""
) -> Versioned[list[DetailCount]]:
    """The groups that have details, most failed first, then by cluster and repository, by code point.

    ``remote_cluster``, where given, is the only one whose details count. An unknown record has no groups.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    keys, flt = RecordKeys(connection.prefix, record_id), DetailFilter(remote_cluster=remote_cluster)
    for _ in range(ATTEMPTS):
        recorder = VersionRecorder(connection, version_call(connection.prefix, record_id))
        pairs = await read_pairs(recorder, keys, flt)
        counter, written, _ = recorder.reply
        version = record_version(counter, written)
        # Read by several calls, while the record changed in between, they are of no moment at all.
        if pairs.is_atomic:
            break
        ((counter, written, _),) = await connection.run([version_call(connection.prefix, record_id)])
        if record_version(counter, written) == version:
            break
    return Versioned(version, _grouped(pairs, flt, by))


def _grouped(counted: CountedPairs, flt: DetailFilter, by: Grouping) -> list[DetailCount]:
    sums: dict[tuple[bytes | None, bytes | None], tuple[int, ...]] = {}
    admits = flt.admission() if flt.is_of_pairs else None
    by_cluster, by_repo = by != "repository", by != "cluster"
    for (cluster, repo, scheme, _), counts in counted.pairs:
        if admits is None or admits(cluster, repo, scheme):
            group = (cluster if by_cluster else None, repo if by_repo else None)
            before = sums.get(group)
            sums[group] = tuple(map(add, before, counts)) if before else counts
    names = _Names({None: None})
    found = [
        DetailCount(names[cluster], names[repo], success, failed, running)
        # Escaped names sort as the names do.
        for (cluster, repo), (running, success, failed) in sorted(sums.items())
        if failed or success or running
    ]
    # Those of equal numbers stay in the order of their names.
    found.sort(key=_FAILED, reverse=True)
    return found


_FAILED = attrgetter("failed")


class _Names(dict[bytes | None, str | None]):
    """Names by their escaped forms: pairs have few names, and each of them often."""

    def __missing__(self, escaped: bytes) -> str:
        """The name, which is kept."""
        name = self[escaped] = unescape(escaped)
        return name
