"""Filters of details. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.json import Decoder

from replog.fields import DETAIL
from replog.records import facts_type
from replog.statuses import STATUS_LETTERS
from replog.store.format.detail_codec import facts_of, head_of
from replog.store.format.index_entries import (
    ARTIFACT,
    KEY,
    KEYED,
    NAMED,
    PACKAGE,
    PATH,
    SEPARATOR,
    VERSION,
    escape,
    package_key,
    package_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Id and value of a detail.
_Row = tuple[bytes, bytes]


class DetailFilter(NamedTuple):
    """Conditions that all have to hold; an empty one always does.

    ``package_name``, ``repo_name``, ``cluster_name`` (the remote cluster), ``path``, ``artifact_name`` and
    ``package_key``, which contains ``://``, are literal, case-sensitive prefixes. ``status``, ``version``,
    ``remote_cluster`` and ``local_repo_name`` are exact.
    """

    status: str = ""
    cluster_name: str = ""
    repo_name: str = ""
    package_name: str = ""
    path: str = ""
    artifact_name: str = ""
    version: str = ""
    remote_cluster: str = ""
    local_repo_name: str = ""
    package_key: str = ""

    def matching(self, rows: Sequence[_Row]) -> list[_Row]:
        """Those of ``rows``, ids and values of details, that meet every condition."""
        needle, letter = self._needle, STATUS_LETTERS.get(self.status)
        rows = [row for row in rows if needle in row[1] and (letter is None or head_of(row[1])[-1:] == letter)]
        if not rows or self.is_of_status:
            return rows
        facts = _facts_of_all(b"[%b]" % b",".join(facts_of([value for _, value in rows])))
        return [row for row, of_row in zip(rows, facts, strict=True) if self._meets(of_row)]

    def _meets(self, facts: Any) -> bool:
        """Whether a detail with these facts meets every condition but that on its status."""
        return (
            (not self.version or facts.version == self.version)
            and (not self.remote_cluster or facts.remote_cluster == self.remote_cluster)
            and (not self.local_repo_name or facts.repo_name == self.local_repo_name)
            and (not self.cluster_name or _begins(facts.remote_cluster, self.cluster_name))
            and (not self.repo_name or _begins(facts.repo_name, self.repo_name))
            and (not self.path or _begins(facts.path, self.path))
            and (not self.artifact_name or _begins(facts.artifact_name, self.artifact_name))
            and (not self.package_name or _begins(package_name(*_package(facts)), self.package_name))
            and (not self.package_key or _begins(package_key(*_package(facts)), self.package_key))
        )

    @property
    def is_of_pairs(self) -> bool:
        """Whether it has a condition that pairs meet: on cluster, repository or scheme."""
        return bool(
            self.cluster_name or self.remote_cluster or self.repo_name or self.local_repo_name or self.package_key
        )

    @property
    def is_of_status(self) -> bool:
        """Whether it has no condition but one on the status, or none at all."""
        return not any(self[1:])

    def admission(self) -> Callable[[bytes, bytes, bytes], bool]:
        """A test of a pair's cluster, repository and scheme, as the index has them: whether its details may match."""
        cluster, repo = escape(self.cluster_name), escape(self.repo_name)
        exact_cluster, exact_repo = escape(self.remote_cluster), escape(self.local_repo_name)
        scheme = escape(self.package_key.partition(SEPARATOR)[0])
        schemes = {scheme + NAMED, scheme + KEYED} if self.package_key else None

        def admits(of_cluster: bytes, of_repo: bytes, of_scheme: bytes) -> bool:
            return (
                of_cluster.startswith(cluster)
                and of_repo.startswith(repo)
                and (not exact_cluster or of_cluster == exact_cluster)
                and (not exact_repo or of_repo == exact_repo)
                and (schemes is None or of_scheme in schemes)
            )

        return admits

    @property
    def first_pairs(self) -> bytes:
        """Prefix of the members of the pairs index that the filter admits."""
        if not self.remote_cluster:
            return escape(self.cluster_name)
        return escape(self.remote_cluster) + b"\x00" + self._repositories

    @property
    def behind_clusters(self) -> bytes:
        """The text of such members behind the cluster, where :attr:`first_pairs` lacks it; empty for any."""
        return b"" if self.remote_cluster else self._repositories

    @property
    def is_of_pair_ranges(self) -> bool:
        """Whether these prefixes say all that the filter asks of pairs."""
        has_one_each = not (self.remote_cluster and self.cluster_name) and not (self.local_repo_name and self.repo_name)
        return has_one_each and not self.package_key

    @property
    def _repositories(self) -> bytes:
        return escape(self.local_repo_name) + b"\x00" if self.local_repo_name else escape(self.repo_name)

    @property
    def names(self) -> list[NameCondition]:
        """The conditions on names."""
        conditions = [
            NameCondition((kind + escape(prefix),))
            for kind, prefix in ((PACKAGE, self.package_name), (PATH, self.path), (ARTIFACT, self.artifact_name))
            if prefix
        ]
        if self.version:
            conditions.append(NameCondition((VERSION + escape(self.version) + b"\x00",), is_exact=True))
        rest = self.package_key.partition(SEPARATOR)[2]
        if rest:
            starts = (PACKAGE + escape(rest), KEY + escape(self.package_key))
            conditions.append(NameCondition(starts, is_of_key=True))
        return conditions

    @property
    def _needle(self) -> bytes:
        """A text that the stored facts of every matching detail contain; empty where there is none."""
        longest = max((self.package_name, self.package_key, self.path, self.artifact_name, self.version), key=len)
        # JSON escapes these.
        return b"" if set(longest) & _ESCAPED else longest.encode()


class NameCondition(NamedTuple):
    """Prefixes, behind the status, of the entries of the by-name index that meet a condition.

    ``is_exact``: it is all that stands before the pair. ``is_of_key``: the first of ``starts`` is a package's name, and
    counts only where it is the rest of the key; the second is a whole key.
    """

    starts: tuple[bytes, ...]
    is_exact: bool = False
    is_of_key: bool = False


#: Characters that JSON texts do not hold as they are.
_ESCAPED = {'"', "\\", *map(chr, range(0x20)), "\x7f"}

NO_FILTER = DetailFilter()


def _begins(text: str | None, prefix: str) -> bool:
    return text is not None and text.startswith(prefix)


def _package(facts: Any) -> tuple[str | None, str | None]:
    return facts.package_name, facts.package_key


#: Decoding these alone takes a fifth of the time that reading the whole detail does.
_COMPARED = {"remote_cluster", "repo_name", "package_name", "package_key", "path", "artifact_name", "version"}
_facts_of_all = Decoder(list[facts_type([field for field in DETAIL if field.name in _COMPARED], Any)]).decode  # type: ignore[misc] # made from the table
