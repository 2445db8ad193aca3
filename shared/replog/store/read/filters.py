"""Filters of details. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    from collections.abc import Callable

    from replog.entities import Detail


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

    def matches(self, detail: Detail) -> bool:
        """Whether ``detail`` meets every condition."""
        return (
            (not self.status or detail.status == self.status)
            and (not self.version or detail.version == self.version)
            and (not self.remote_cluster or detail.remote_cluster == self.remote_cluster)
            and (not self.local_repo_name or detail.repo_name == self.local_repo_name)
            and _begins(detail.remote_cluster, self.cluster_name)
            and _begins(detail.repo_name, self.repo_name)
            and _begins(package_name(detail.package_name, detail.package_key), self.package_name)
            and _begins(package_key(detail.package_name, detail.package_key), self.package_key)
            and _begins(detail.path, self.path)
            and _begins(detail.artifact_name, self.artifact_name)
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
    def needle(self) -> bytes:
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
    return not prefix or (text is not None and text.startswith(prefix))
