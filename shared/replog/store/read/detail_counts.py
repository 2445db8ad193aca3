"""Numbers of a record's details by status, for each remote cluster, repository or pair of both.

Nothing is counted here: the record's hash holds the numbers of each pair, kept by the same atomic step as the details.
Reading them takes one call for some 300 pairs, and one short call for each 300 pairs of more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.store.format.index_entries import split_pair, unescape
from replog.store.format.keys import RecordKeys
from replog.store.read.facets import read_pairs
from replog.store.read.filters import DetailFilter
from replog.store.read.reader import ATTEMPTS
from replog.store.read.results import DetailCount, Versioned
from replog.store.read.versions import VersionRecorder, record_version, version_call

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.facets import CountedPairs
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
        found = Versioned(record_version(counter, written), _grouped(pairs, flt, by))
        # Read by several calls, while the record changed in between, they are of no moment at all.
        if pairs.is_atomic:
            break
        ((counter, written, _),) = await connection.run([version_call(connection.prefix, record_id)])
        if record_version(counter, written) == found.version:
            break
    return found


def _grouped(counted: CountedPairs, flt: DetailFilter, by: Grouping) -> list[DetailCount]:
    sums: dict[tuple[bytes | None, bytes | None], tuple[int, int, int]] = {}
    admits = flt.admission() if flt.is_of_pairs else None
    by_cluster, by_repo = by != "repository", by != "cluster"
    for member, counts in counted.pairs:
        cluster, repo, scheme, _ = split_pair(member)
        if admits is None or admits(cluster, repo, scheme):
            running, success, failed = counts
            group = (cluster if by_cluster else None, repo if by_repo else None)
            before = sums.get(group, _NO_DETAILS)
            sums[group] = (
                before[0] + int(running or 0),
                before[1] + int(success or 0),
                before[2] + int(failed or 0),
            )
    # Escaped names sort as the names do.
    found = sorted([(-failed, *group, success, running) for group, (running, success, failed) in sums.items()])
    return [
        DetailCount(_name(cluster), _name(repo), success, -minus_failed, running)
        for minus_failed, cluster, repo, success, running in found
        if minus_failed or success or running
    ]


#: RUNNING, SUCCESS and FAILED details of a group before its first pair.
_NO_DETAILS = (0, 0, 0)


def _name(escaped: bytes | None) -> str | None:
    return None if escaped is None else unescape(escaped)
