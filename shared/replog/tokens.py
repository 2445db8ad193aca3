"""Entries of ``REPLOG_API_TOKENS`` and its file: the SHA-256 of each token, and the tasks that the token may read."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


class ApiToken(NamedTuple):
    """One token; it may read the tasks whose keys begin with ``prefix``."""

    name: str
    sha256: bytes
    prefix: str = ""


def parse(text: str) -> tuple[ApiToken, ...]:
    """Parse entries of the form ``name:sha256hex[:taskKeyPrefix]``, comma-separated or one a line.

    Raises:
        ValueError: an entry is wrong, or two entries give one token different prefixes; the text names the entries,
            and quotes nothing else of them.
    """
    lines = [line for line in text.split("\n") if line.strip()] or [""]
    entries = [entry for line in lines for entry in line.split(",")]
    tokens = tuple(_token(number, entry.strip()) for number, entry in enumerate(entries, 1))
    _check_prefixes(tokens)
    return tokens


def _check_prefixes(tokens: tuple[ApiToken, ...]) -> None:
    first: dict[bytes, tuple[int, ApiToken]] = {}
    for number, token in enumerate(tokens, 1):
        before, same = first.setdefault(token.sha256, (number, token))
        # One of the two would silently have no effect.
        if token.prefix != same.prefix:
            raise ValueError(
                f"one task key prefix for each hash; entries {before} ({same.name}) and {number} ({token.name}) "
                "have the same hash and different prefixes"
            )


def _token(number: int, entry: str) -> ApiToken:
    name, _, rest = entry.partition(":")
    digest, colon, prefix = rest.partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError(_wrong(number, "its name is not 1 to 64 letters, digits or any of _ . -"))
    if not _SHA256.fullmatch(digest):
        raise ValueError(_wrong(number, "its hash is not the 64 hex digits of a SHA-256"))
    # The colon shows that a limit was intended. An empty prefix would allow everything.
    if colon and not prefix:
        raise ValueError(_wrong(number, "its task key prefix is empty; without the colon there is none"))
    return ApiToken(name, bytes.fromhex(digest), prefix)


def _wrong(number: int, why: str) -> str:
    return f"name:sha256hex[:taskKeyPrefix], comma-separated or one a line; entry {number} is not: {why}"
