"""What a page of details is narrowed by. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.store.index import package_name

if TYPE_CHECKING:
    from replog.entities import Detail


class DetailFilter(NamedTuple):
    """Conditions that all have to hold; an empty one always does.

    ``package_name``, ``repo_name``, ``cluster_name`` (the remote cluster), ``path`` and ``artifact_name`` are literal,
    case-sensitive prefixes; ``status`` and ``version`` are exact.
    """

    status: str = ""
    cluster_name: str = ""
    repo_name: str = ""
    package_name: str = ""
    path: str = ""
    artifact_name: str = ""
    version: str = ""

    def matches(self, detail: Detail) -> bool:
        """Whether ``detail`` meets every condition."""
        return (
            (not self.status or detail.status == self.status)
            and (not self.version or detail.version == self.version)
            and _begins(detail.remote_cluster, self.cluster_name)
            and _begins(detail.repo_name, self.repo_name)
            and _begins(package_name(detail.package_name, detail.package_key), self.package_name)
            and _begins(detail.path, self.path)
            and _begins(detail.artifact_name, self.artifact_name)
        )

    @property
    def by_pair_alone(self) -> bool:
        """Whether status, cluster and repository decide."""
        return not (self.package_name or self.path or self.artifact_name or self.version)

    @property
    def needle(self) -> bytes:
        """What stands somewhere in the stored facts of every detail that matches; empty where nothing is known to."""
        longest = max((self.package_name, self.path, self.artifact_name, self.version), key=len)
        # JSON escapes these.
        return b"" if set(longest) & _ESCAPED else longest.encode()


#: Characters that JSON texts do not hold as they are.
_ESCAPED = {'"', "\\", *map(chr, range(0x20)), "\x7f"}

NO_FILTER = DetailFilter()


def _begins(text: str | None, prefix: str) -> bool:
    return not prefix or (text is not None and text.startswith(prefix))
