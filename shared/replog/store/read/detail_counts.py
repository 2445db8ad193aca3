"""How many details of each status a record has, by remote cluster, by repository or by both.

Nothing is counted here: the record's hash holds the numbers of each pair, kept by the same atomic step as the details.
Reading them takes one call for some 300 pairs, and one short call for each 300 pairs of more.
"""

from __future__ import annotations

from collections import defaultdict
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
    sums: defaultdict[tuple[bytes | None, bytes | None], list[int]] = defaultdict(lambda: [0, 0, 0])
    admits = flt.admission()
    for member, counts in counted.pairs:
        cluster, repo, scheme, _ = split_pair(member)
        if admits(cluster, repo, scheme):
            group = sums[None if by == "repository" else cluster, None if by == "cluster" else repo]
            for status, count in enumerate(counts):
                group[status] += int(count or 0)
    groups = [
        DetailCount(_name(cluster), _name(repo), success, failed, running)
        for (cluster, repo), (running, success, failed) in sums.items()
        if running or success or failed
    ]
    return sorted(groups, key=lambda group: (-group.failed, group.remote_cluster or "", group.repo_name or ""))


def _name(escaped: bytes | None) -> str | None:
    return None if escaped is None else unescape(escaped)
