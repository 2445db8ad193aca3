"""Index entries of a detail: its pair, names and sums, from the facts in its events. Pure.

A *pair* is a detail's remote cluster and repository, with the scheme of its package's key. Its *names* are its
package's name, path, artifact's name and version; the index keeps their kinds apart.

The *key* of a package is the one that its worker gave, else its name: what the API answers as ``packageKey``. Nearly
all keys are a scheme, ``://`` and the package's name. Then the pair's scheme and the entry of the name say all that the
key does. Where the key goes on otherwise, the pair tells so, and the whole key is one more name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from replog.events import DetailEvent, Progress

_ESCAPED = re.compile(rb"\x01([\x01\x02])")
_LIMB = 32
_LOW = (1 << _LIMB) - 1

PACKAGE, PATH, ARTIFACT, VERSION, KEY = KINDS = b"p", b"t", b"a", b"v", b"k"
#: Behind a pair's scheme: the rest of the keys is the package's name, or it is not.
NAMED, KEYED = b"=", b"~"
SEPARATOR = "://"


class Placement(NamedTuple):
    """Place of a detail in the indexes: its pair without the number, and its names, each behind its kind.

    ``conflicts`` is 1 where it had one, else 0.
    """

    pair: bytes
    names: tuple[bytes, ...]
    conflicts: int


class Sums(NamedTuple):
    """Addends of a detail to its record, and the sums in a record's hash, in the order of its fields ``s1`` to ``s5``.

    64-bit numbers are kept as a high and a low part, each far from what a double holds exactly. What is seldom above 0
    stands last.
    """

    size_low: int = 0
    conflicts: int = 0
    skip_low: int = 0
    size_high: int = 0
    skip_high: int = 0

    @property
    def skip(self) -> int:
        """Things skipped."""
        return (self.skip_high << _LIMB) + self.skip_low

    @property
    def total_size(self) -> int:
        """Bytes."""
        return (self.size_high << _LIMB) + self.size_low


def escape(text: str) -> bytes:
    """``text`` as bytes without NUL that sort as it does; a prefix of the text is a prefix of the bytes."""
    return text.encode().replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01")


def unescape(escaped: bytes) -> str:
    """The text of which :func:`escape` made these bytes."""
    if b"\x01" in escaped:
        escaped = _ESCAPED.sub(lambda found: bytes((found[1][0] - 1,)), escaped)
    return escaped.decode()


def pair_of(cluster: str, repo: str, scheme: bytes = b"") -> bytes:
    """The member of the pairs index without its number."""
    return b"%b\x00%b\x00%b\x00" % (escape(cluster), escape(repo), scheme)


def split_pair(member: bytes) -> list[bytes]:
    """Cluster, repository, scheme and number of a member of the pairs index."""
    return member.split(b"\x00", 3)


#: A run has few pairs and many details of each.
_pair = lru_cache(4096)(pair_of)


def package_name(name: str | None, key: str | None) -> str | None:
    """The name a package is searched by: its own, else what follows ``://`` in its key."""
    if name is not None or key is None:
        return name
    _, separator, rest = key.partition(SEPARATOR)
    return rest if separator else key


def package_key(name: str | None, key: str | None) -> str | None:
    """The key a package is searched by: its own, else its name."""
    return name if key is None else key


#: Of a detail none of whose events had facts.
UNPLACED = Placement(pair_of("", ""), (), 0)


def placement_of(facts: DetailEvent | None) -> Placement:
    """Place of a detail whose facts are in this event; None: no event had any."""
    if facts is None:
        return UNPLACED
    scheme, names = _package(facts.package_name, facts.package_key)
    if facts.path is not None:
        names += (PATH + escape(facts.path),)
    if facts.artifact_name is not None:
        names += (ARTIFACT + escape(facts.artifact_name),)
    if facts.version is not None:
        names += (VERSION + escape(facts.version),)
    pair = _pair(facts.remote_cluster or "", facts.repo_name or "", scheme)
    return Placement(pair, names, int(facts.conflict_strategy is not None))


@lru_cache(4096)
def _package(name: str | None, key: str | None) -> tuple[bytes, tuple[bytes, ...]]:
    """The scheme of a pair, and the names of a package."""
    found, whole = package_name(name, key), package_key(name, key)
    if found is None or whole is None:
        return b"", ()
    names = (PACKAGE + escape(found),)
    scheme, separator, rest = whole.partition(SEPARATOR)
    if not separator:
        return b"", names
    if rest == found:
        return escape(scheme) + NAMED, names
    return escape(scheme) + KEYED, (*names, KEY + escape(whole))


def sums_of(conflicts: int, progress: Progress | None) -> Sums:
    """Addends of a detail with so many conflicts and this progress."""
    if progress is None:
        return Sums(0, conflicts)
    # As answers count artifacts (records.Progressed).
    counted = progress.version or progress.node or progress.blob
    skip = counted.skip if counted else 0
    size = progress.total_size
    return Sums(size & _LOW, conflicts, skip & _LOW, size >> _LIMB, skip >> _LIMB)
