"""Numbers of a record's details by status, for each remote cluster, repository or pair of both.

Nothing is counted here: the record's hash holds the numbers of each pair, kept by the same atomic step as the details.
Reading them takes one call for some 950 pairs. Of more, short calls read 1,000 pairs, or their numbers, each.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from replog.statuses import LETTERS
from replog.store.format.index_entries import unescape
from replog.store.format.keys import RecordKeys
from replog.store.read.details.facets import read_pairs
from replog.store.read.filters import DetailFilter
from replog.store.read.results import DetailCount, Versioned
from replog.store.read.versions import ATTEMPTS, VersionRecorder, record_version, version_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    members, numbers = _admitted(counted, flt)
    sums = _BY[by](members, numbers)
    names = _Names({None: None})
    found = [
        DetailCount(names[cluster], names[repo], success, failed, running, total)
        for cluster, repo, running, success, failed in sums
        if (total := success + failed + running)
    ]
    # Those of equal numbers stay in the order of their names.
    found.sort(key=_FAILED, reverse=True)
    return found


_FAILED = attrgetter("failed")


def _admitted(counted: CountedPairs, flt: DetailFilter) -> tuple[list[bytes], list[int]]:
    """The members that the filter's cluster admits, and their numbers."""
    first = flt.first_pairs
    begin = bisect_left(counted.members, first)
    end = bisect_left(counted.members, first + b"\xff", begin)
    return counted.members[begin:end], counted.numbers[begin * len(LETTERS) : end * len(LETTERS)]


#: A group: cluster and repository, escaped, None where it is of several; the numbers of its details, as stored.
_Sums: TypeAlias = tuple[bytes | None, bytes | None, int, int, int]


def _by_cluster(members: list[bytes], numbers: list[int]) -> Iterator[_Sums]:
    begin = 0
    while begin < len(members):
        cluster = members[begin].partition(b"\x00")[0]
        # Behind the last of the cluster: no name has a NUL.
        end = bisect_left(members, cluster + b"\x01", begin)
        of_cluster = numbers[begin * len(LETTERS) : end * len(LETTERS)]
        running, success, failed = (sum(of_cluster[at :: len(LETTERS)]) for at in range(len(LETTERS)))
        yield cluster, None, running, success, failed
        begin = end


def _by_repository(members: list[bytes], numbers: list[int]) -> Iterator[_Sums]:
    sums: dict[bytes, list[int]] = {}
    for member, (running, success, failed) in _each(members, numbers):
        of_repo = sums.setdefault(member.split(b"\x00", 2)[1], [0, 0, 0])
        of_repo[0] += running
        of_repo[1] += success
        of_repo[2] += failed
    # Escaped names sort as the names do.
    for repo, (running, success, failed) in sorted(sums.items()):
        yield None, repo, running, success, failed


def _by_pair(members: list[bytes], numbers: list[int]) -> Iterator[_Sums]:
    last_cluster = last_repo = None
    running = success = failed = 0
    for member, (more_running, more_success, more_failed) in _each(members, numbers):
        cluster, repo, _ = member.split(b"\x00", 2)
        if repo == last_repo and cluster == last_cluster:
            # The same with another scheme.
            running, success, failed = running + more_running, success + more_success, failed + more_failed
            continue
        # Before the first pair this is a group of no details, which is left out as all of these are.
        yield last_cluster, last_repo, running, success, failed
        last_cluster, last_repo = cluster, repo
        running, success, failed = more_running, more_success, more_failed
    yield last_cluster, last_repo, running, success, failed


def _each(members: list[bytes], numbers: list[int]) -> Iterator[tuple[bytes, tuple[int, ...]]]:
    return zip(members, zip(*[iter(numbers)] * len(LETTERS), strict=True), strict=True)


_BY: dict[Grouping, Callable[[list[bytes], list[int]], Iterable[_Sums]]] = {
    "cluster": _by_cluster,
    "repository": _by_repository,
    "pair": _by_pair,
}


class _Names(dict[bytes | None, str | None]):
    """Names by their escaped forms: pairs have few names, and each of them often."""

    def __missing__(self, escaped: bytes) -> str:
        """The name, which is kept."""
        name = self[escaped] = unescape(escaped)
        return name
