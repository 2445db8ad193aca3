"""How events combine: the registers of a record or a detail, and their join.

The state of an entity is five registers. A register holds the candidate with the greatest *order key*; it is a byte
string, order key first and content behind it, made such that comparing two registers as bytes compares their order
keys and, where these are equal, their contents as canonical JSON (docs/events.md, "How events combine").
So the join is ``max``: commutative, associative and idempotent by construction, and the store's script needs
to know nothing but "keep the greater". What an event offers to each register is in :mod:`replog.state`.

Layout, ``ATTEMPT`` as a length byte and that many big-endian bytes, ``TIME`` as 7 bytes of milliseconds (biased by
:data:`MS_BIAS`) and 2 bytes of microseconds within, ``EARLIER`` its complement:

==========  ==========================================================================
start       ``1 ATTEMPT EARLIER`` of a ``*.started``, ``0 EARLIER`` of any other event
facts       ``STARTED ATTEMPT TIME`` and the descriptive fields as compact JSON
outcome     ``ATTEMPT FINISHED TIME``, the error's reason as JSON or nothing, one letter of status
progress    ``ATTEMPT FINISHED TIME`` and the numbers
last        ``TIME``
==========  ==========================================================================

Contents are not canonical JSON to the letter but shorter texts that sort as it does: the fields' names are single
letters in the order of the names, and what is the same in all candidates is left out.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import orjson

#: Added to milliseconds since the epoch so that the years 1 to 9999 are positive; sums stay exact in a double.
MS_BIAS = 1 << 46
#: Complement of biased milliseconds: what is earlier sorts higher.
MS_TOP = 1 << 49

#: Names of a detail's facts and the letters they are stored under, both in the same order.
DETAIL_FACTS = {
    "artifact_name": "a",
    "conflict_strategy": "b",
    "local_cluster": "c",
    "package_key": "d",
    "package_name": "e",
    "path": "f",
    "remote_cluster": "g",
    "repo_name": "h",
    "repo_type": "i",
    "sha256": "j",
    "size": "k",
    "version": "l",
    "versions": "m",
}
#: The same of a record's facts.
RECORD_FACTS = {
    "expected_details": "a",
    "replica_object_type": "b",
    "replica_type": "c",
    "task_key": "d",
    "task_name": "e",
}

RUNNING, SUCCESS, FAILED = "RUNNING", "SUCCESS", "FAILED"
#: A status and the letter it is stored as; the letters sort as the words do.
STATUS_LETTERS = {RUNNING: b"R", SUCCESS: b"S", FAILED: b"F"}
STATUSES = {letter[0]: status for status, letter in STATUS_LETTERS.items()}


class Registers(NamedTuple):
    """The state of one entity; an empty register has had no candidate."""

    start: bytes = b""
    facts: bytes = b""
    outcome: bytes = b""
    progress: bytes = b""
    last: bytes = b""


EMPTY = Registers()


class Effect(IntEnum):
    """What an event did to the state it met. The store's scripts answer with the same numbers."""

    #: Everything it says is older than what is known.
    SUPERSEDED = 0
    #: It changes nothing, and something it says stands in the state as it says it.
    DUPLICATE = 1
    #: It changed the state.
    APPLIED = 2


def join(a: Registers, b: Registers) -> Registers:
    """The state after everything that led to ``a`` and everything that led to ``b``."""
    return Registers(*map(max, a, b))


def fold(state: Registers, candidate: Registers) -> tuple[Registers, Effect]:
    """The join of both, and what ``candidate`` did to ``state``."""
    joined = join(state, candidate)
    if joined != state:
        return joined, Effect.APPLIED
    same = any(new and new == old for new, old in zip(candidate, state, strict=True))
    return state, Effect.DUPLICATE if same else Effect.SUPERSEDED


class Tallied(NamedTuple):
    """One kind of thing counted, in the order of the API's fields."""

    total: int
    success: int
    skip: int
    failed: int


_NONE_COUNTED = Tallied(0, 0, 0, 0)


class Progressed(NamedTuple):
    """A detail's progress; ``total_size`` in bytes."""

    blob: Tallied | None = None
    node: Tallied | None = None
    version: Tallied | None = None
    total_size: int = 0

    @property
    def artifacts(self) -> Tallied:
        """The tally that counts artifacts: the versions, else the nodes, else the blobs; zeros where none is known.

        The three count the same work in different units, so they are never added up.
        """
        return self.version or self.node or self.blob or _NONE_COUNTED


def start_ms(start: bytes) -> int:
    """Milliseconds since the epoch of a start register."""
    return MS_TOP - MS_BIAS - int.from_bytes(start[-9:-2], "big")


def last_ms(last: bytes) -> int:
    """Milliseconds since the epoch of a last-event register."""
    return int.from_bytes(last[:7], "big") - MS_BIAS


def outcome_of(outcome: bytes) -> tuple[str, int | None, str | None]:
    """Status, end in milliseconds since the epoch (None while RUNNING) and error's reason of an outcome register."""
    status = STATUSES[outcome[-1]]
    if status == RUNNING:
        return status, None, None
    time = outcome[0] + 2
    reason = outcome[time + 9 : -1]
    return status, last_ms(outcome[time:]), orjson.loads(reason) if reason else None


def facts_of(facts: bytes) -> dict[str, Any]:
    """The content of a facts register, by the letters of :data:`DETAIL_FACTS` or :data:`RECORD_FACTS`."""
    return orjson.loads(facts[facts[1] + 11 :]) if facts else {}


def progress_of(progress: bytes) -> Progressed:
    """The content of a detail's progress register."""
    if not progress:
        return Progressed()
    blob, node, total_size, version = _loads_numbers(progress)
    return Progressed(_tallied(blob), _tallied(node), _tallied(version), total_size)


def bytes_of(progress: bytes) -> tuple[int | None, int | None]:
    """The content of a record's progress register: ``replicatedBytes`` and ``totalBytes``."""
    if not progress:
        return None, None
    replicated, total = orjson.loads(progress[progress[0] + 11 :])
    return replicated, total


def _loads_numbers(progress: bytes) -> list[Any]:
    numbers: list[Any] = orjson.loads(b"[%b]" % progress[progress[0] + 11 :].replace(b"{", b"[").replace(b"}", b"]"))
    return numbers


def _tallied(numbers: list[int] | None) -> Tallied | None:
    if numbers is None:
        return None
    failed, skip, success, total = numbers
    return Tallied(total, success, skip, failed)
