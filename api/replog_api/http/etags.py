"""Entity tags (RFC 9110): their format, and the check whether a client's is still valid. Pure.

A tag is weak: bodies of the same tag say the same, but each has a trace id of its own. It reads ``W/"DIGEST-UNTIL"``.
``DIGEST`` is that of the query and of the version of its answer. ``UNTIL`` is the time at which the body changes
without any event, because the first of its RUNNING rows becomes stale, in hexadecimal milliseconds since 1970. It is
empty where no row will.

A proxy that compresses may add an ending, and sends that back: ``W/"DIGEST-UNTIL-gzip"``, as Apache does, or
``--gzip``, ``;gzip`` and the like. Such an ending is ignored.
"""

from __future__ import annotations

import re
from hashlib import blake2b

#: Version of the rendering. Change it with whatever makes another body of the same state.
FORMAT = b"2"

_DIGEST_BYTES = 12
_TAG = re.compile(r'(?:W/)?"([!#-~\x80-\xff]*)"')
#: A tag of ours, and what proxies put behind it.
_OURS = re.compile(r"([0-9a-f]+-[0-9a-f]{0,16})(?:[-;:.+_]{1,2}[A-Za-z][A-Za-z0-9]*)*")
_ANY = "*"


def digest_of(query_key: bytes, version: bytes) -> str:
    """The digest of a query and the version of its answer."""
    return blake2b(b"%b\n%b\n%b" % (FORMAT, query_key, version), digest_size=_DIGEST_BYTES).hexdigest()


def tag_of(digest: str, until_ms: int | None) -> str:
    """The tag of an answer that becomes stale at ``until_ms``; None where it does not."""
    return f'W/"{opaque_of(digest, until_ms)}"'


def opaque_of(digest: str, until_ms: int | None) -> str:
    """The text between the quotes of a tag."""
    return f"{digest}-{'' if until_ms is None else format(until_ms, 'x')}"


def still_good(if_none_match: str, digest: str, now_ms: int) -> str | None:
    """The first of the client's tags that has this digest and is not past its time."""
    for opaque in _ours(if_none_match):
        head, _, until = opaque.partition("-")
        if head == digest and (not until or int(until, 16) > now_ms):
            return f'W/"{opaque}"'
    return None


def names(if_none_match: str, tag: str) -> bool:
    """Whether the client has the answer of this tag; ``*`` is any."""
    if if_none_match.strip() == _ANY:
        return True
    opaque = tag.removeprefix("W/")[1:-1]
    return opaque in _TAG.findall(if_none_match) or opaque in _ours(if_none_match)


def _ours(if_none_match: str) -> list[str]:
    """The text between the quotes of the client's tags that have our format, without what proxies added."""
    found = map(_OURS.fullmatch, _TAG.findall(if_none_match))
    return [match[1] for match in found if match]
