"""Entity tags (RFC 9110): what they are made of, and whether a client's is still good. Pure.

A tag is weak: bodies of the same tag say the same, but each has a trace id of its own. It reads ``W/"DIGEST-UNTIL"``.
The digest is of the question and the version of what it asks for. ``UNTIL`` is when time alone will change the body, in
hexadecimal milliseconds since 1970: the moment when the first of its RUNNING rows will be stale. It is empty where none
will.

A proxy that compresses may make another tag of it, and asks with that: ``W/"DIGEST-UNTIL-gzip"``, as Apache does, or
``--gzip``, ``;gzip`` and the like. What a client sends is read without such an ending.
"""

from __future__ import annotations

import re
from hashlib import blake2b

#: Changed with everything that makes bodies of the same state differ from what they were.
FORMAT = b"2"

_DIGEST_BYTES = 12
_TAG = re.compile(r'(?:W/)?"([!#-~\x80-\xff]*)"')
#: A tag of ours, and what proxies put behind it.
_OURS = re.compile(r"([0-9a-f]+-[0-9a-f]{0,16})(?:[-;:.+_]{1,2}[A-Za-z][A-Za-z0-9]*)*")
_ANY = "*"


def digest_of(query_key: bytes, version: bytes) -> str:
    """What is the same for answers to ``question`` as long as the version is."""
    return blake2b(b"%b\n%b\n%b" % (FORMAT, query_key, version), digest_size=_DIGEST_BYTES).hexdigest()


def tag_of(digest: str, until_ms: int | None) -> str:
    """The tag of an answer that is good until ``until_ms``, as far as time counts."""
    return f'W/"{opaque_of(digest, until_ms)}"'


def opaque_of(digest: str, until_ms: int | None) -> str:
    """What stands between the quotes of a tag."""
    return f"{digest}-{'' if until_ms is None else format(until_ms, 'x')}"


def still_good(if_none_match: str, digest: str, now_ms: int) -> str | None:
    """The first of the client's tags that is of this digest and whose time has not come."""
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
    """What stands between the quotes of those of the client's tags that are ours, without what proxies added."""
    found = map(_OURS.fullmatch, _TAG.findall(if_none_match))
    return [match[1] for match in found if match]
