"""The registers of a record or a detail, and their join: the rule by which events combine.

The state of an entity is five registers. A register holds the candidate with the greatest *order key*. It is a byte
string, order key first and content behind it. Of two registers the greater as bytes wins: that compares their order
keys and, where these are equal, their contents as canonical JSON (docs/events.md, "How events combine"). Only facts are
kept under codes; :class:`FactsFormat` puts the names back before it compares contents. So a join keeps the greater
under a total order: it is commutative, associative and idempotent by construction, and the store's scripts need to
know nothing but that order. What an event offers to each register is in :mod:`replog.state`.

Layout, ``ATTEMPT`` as a length byte and that many big-endian bytes, ``TIME`` as 7 bytes of milliseconds (biased by
:data:`MS_BIAS`) and 2 bytes of microseconds within, ``EARLIER`` its complement:

==========  ==========================================================================
start       ``1 ATTEMPT EARLIER`` of a ``*.started``, ``0 EARLIER`` of any other event
facts       ``STARTED ATTEMPT TIME`` and the facts as compact JSON, with their codes
outcome     ``ATTEMPT FINISHED TIME``, the error's reason as JSON or nothing, one letter of status
progress    ``ATTEMPT FINISHED TIME`` and the numbers
last        ``TIME``
==========  ==========================================================================

Contents are not canonical JSON to the letter but shorter texts that sort as it does: what is the same in all candidates
is left out, numbers of progress stand in the order of their names, and letters of statuses sort as the words do.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from msgspec import Struct, defstruct
from msgspec.json import Decoder

from replog.fields import DETAIL, RECORD
from replog.statuses import BY_LETTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from replog.fields import Field
    from replog.statuses import Status

#: Added to milliseconds since the epoch so that the years 1 to 9999 are positive; sums stay exact in a double.
MS_BIAS = 1 << 46
#: Complement of biased milliseconds: what is earlier sorts higher.
MS_TOP = 1 << 49
#: Bytes of a time in an order key, or of an erasure: those of milliseconds, and 2 of the microseconds within.
TIME_BYTES = 9
MS_BYTES = 7
_US_BITS = 16


class Registers(NamedTuple):
    """The state of one entity; an empty register has had no candidate."""

    start: bytes = b""
    facts: bytes = b""
    outcome: bytes = b""
    progress: bytes = b""
    last: bytes = b""


EMPTY = Registers()


class Effect(IntEnum):
    """Effect of an event on the state that it met. The store's scripts answer with the same numbers."""

    #: Everything it says is older than what is known.
    SUPERSEDED = 0
    #: It changes nothing, and something it says stands in the state as it says it.
    DUPLICATE = 1
    #: It changed the state.
    APPLIED = 2


class FactsFormat:
    """Stored form of facts: by the codes of a table, in the order of their wire names.

    ``names`` are the wire names of attributes in that order, ``codes`` their codes, and ``order`` the codes in one
    text, which is all that the store's scripts know of the table.

    Raises:
        ValueError: two facts share a name or a code, or a code is no single letter.
    """

    def __init__(self, table: Iterable[Field]) -> None:
        facts = sorted((field for field in table if field.code is not None), key=lambda field: field.wire or "")
        self.names = {field.name: field.wire or "" for field in facts}
        self.codes = {field.name: field.code or "" for field in facts}
        self.order = "".join(self.codes.values())
        if not _CODES.fullmatch(self.order) or not len({*self.order}) == len({*self.names.values()}) == len(facts):
            raise ValueError(f"facts need a code and a wire name of their own each: {self.codes}")
        self._canonical = {
            code.encode(): name.encode() for code, name in zip(self.codes.values(), self.names.values(), strict=True)
        }

    def canonical(self, content: bytes) -> bytes:
        """The content of a facts register as canonical JSON: with wire names in the place of codes.

        A code that the table does not have, as a later version writes it, stands for a name behind all others.
        """
        return _CODE.sub(lambda code: b'"%b":' % self._canonical.get(code[1], b"\xff"), content)

    def greater(self, a: bytes, b: bytes) -> bytes:
        """The facts register that wins of two."""
        begins = _content_at(a) if a else 0
        if a[:begins] != b[:begins]:
            return max(a, b)
        return max(a, b, key=lambda facts: self.canonical(facts[begins:]))


_CODES = re.compile("[A-Za-z]*", re.ASCII)
#: A code of a fact, where it is a key of the content. Nothing else there looks like it: a quotation mark inside of a
#: text has a backslash before it, and entries of an array have no colon behind them.
_CODE = re.compile(rb'(?<=[{,])"([A-Za-z])":')

#: The format of the store.
FACTS = FactsFormat((*RECORD, *DETAIL))


def join(a: Registers, b: Registers, facts: FactsFormat = FACTS) -> Registers:
    """The state after everything that led to ``a`` and everything that led to ``b``."""
    return Registers(*map(max, a, b))._replace(facts=facts.greater(a.facts, b.facts))


def fold(state: Registers, candidate: Registers) -> tuple[Registers, Effect]:
    """The join of both, and what ``candidate`` did to ``state``."""
    joined = join(state, candidate)
    if joined != state:
        return joined, Effect.APPLIED
    same = any(new and new == old for new, old in zip(candidate, state, strict=True))
    return state, Effect.DUPLICATE if same else Effect.SUPERSEDED


class Tallied(NamedTuple):
    """One kind of thing counted, in the order of the registers: of the names in events."""

    failed: int
    skip: int
    success: int
    total: int


_NONE_COUNTED = Tallied(0, 0, 0, 0)


class Progressed(NamedTuple):
    """A detail's progress, in the order of the registers; ``total_size`` in bytes."""

    blob: Tallied | None = None
    node: Tallied | None = None
    total_size: int = 0
    version: Tallied | None = None

    @property
    def artifacts(self) -> Tallied:
        """The tally that counts artifacts: the versions, else the nodes, else the blobs; zeros where none is known.

        The three count the same work in different units, so they are never added up.
        """
        return self.version or self.node or self.blob or _NONE_COUNTED


def time_stamp(time_us: int) -> int:
    """A time as order keys have it, as one number."""
    return (time_us // 1000 + MS_BIAS) << _US_BITS | time_us % 1000


def time_bytes(time_us: int) -> bytes:
    """``TIME`` of microseconds since the epoch."""
    return time_stamp(time_us).to_bytes(TIME_BYTES, "big")


def time_us(time: bytes) -> int:
    """Microseconds since the epoch of a ``TIME``."""
    stamp = int.from_bytes(time, "big")
    return ((stamp >> _US_BITS) - MS_BIAS) * 1000 + (stamp & ((1 << _US_BITS) - 1))


def start_ms(start: bytes) -> int:
    """Milliseconds since the epoch of a start register."""
    return MS_TOP - MS_BIAS - int.from_bytes(start[-TIME_BYTES:-2], "big")


def last_ms(last: bytes) -> int:
    """Milliseconds since the epoch of a last-event register."""
    return int.from_bytes(last[:MS_BYTES], "big") - MS_BIAS


def outcome_of(outcome: bytes) -> tuple[str, int | None, str | None]:
    """Status, end in milliseconds since the epoch (None while RUNNING) and error's reason of an outcome register."""
    status, ms, reason = outcome_content(outcome)
    return status.name, ms if status.terminal else None, orjson.loads(reason) if reason else None


def outcome_order(outcome: bytes) -> bytes:
    """The order key of an outcome register: attempt, whether it is finished, time."""
    return outcome[: outcome_order_size(outcome)]


def outcome_order_size(outcome: bytes) -> int:
    """The bytes of that order key, of a register or of what begins as one does."""
    return outcome[0] + 2 + TIME_BYTES


def outcome_time_us(outcome: bytes) -> int:
    """Microseconds since the epoch at which the event happened that an outcome register is of."""
    return time_us(outcome_order(outcome)[-TIME_BYTES:])


def outcome_content(outcome: bytes) -> tuple[Status, int, bytes]:
    """Status, time and error's reason of an outcome register: milliseconds, and JSON or nothing."""
    time = outcome[0] + 2
    return BY_LETTER[outcome[-1]], last_ms(outcome[time:]), outcome[time + 9 : -1]


def facts_of(facts: bytes) -> dict[str, Any]:
    """The content of a facts register, by code."""
    return orjson.loads(facts_content(facts)) if facts else {}


def facts_content(facts: bytes) -> bytes:
    """The content of a facts register, as JSON."""
    return facts[_content_at(facts) :] if facts else b"{}"


def facts_decoder(table: Iterable[Field], default_type: Any, **types: Any) -> Callable[[bytes], Any]:
    """A decoder of facts' content: to structs with an attribute for each fact of ``table``, in its order.

    The attributes are of ``default_type``, but for those whose type is given by name. An absent fact is its default.
    """
    return Decoder(facts_type(table, default_type, **types)).decode


def facts_type(table: Iterable[Field], default_type: Any, **types: Any) -> type[Struct]:
    """The structs of :func:`facts_decoder`, for decoders of the facts of many at once."""
    facts = [field for field in table if field.code]
    codes = {fact.name: fact.code or "" for fact in facts}
    attributes = [(fact.name, types.get(fact.name, default_type), fact.default) for fact in facts]
    return defstruct("Facts", attributes, rename=codes, gc=False)


def _content_at(facts: bytes) -> int:
    """The bytes of the order key of a facts register."""
    return facts[1] + 11


def progress_of(progress: bytes) -> Progressed:
    """The content of a detail's progress register."""
    return progress_of_all([progress_content(progress)])[0]


def progress_content(progress: bytes) -> bytes:
    """The content of a progress register, for :func:`progress_of_all` where it is a detail's."""
    return progress[progress[0] + 11 :] if progress else b""


def progress_of_all(contents: Sequence[bytes]) -> list[Progressed]:
    """The progress of details, one at least, from the contents of their registers; an empty one says nothing."""
    return _decode_progress(b"[[%b]]" % b"],[".join(contents).translate(_BRACES_TO_BRACKETS))


_decode_progress = Decoder(list[Progressed]).decode
_BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")


def bytes_of(progress: bytes) -> tuple[int | None, int | None]:
    """The content of a record's progress register: ``replicatedBytes`` and ``totalBytes``."""
    if not progress:
        return None, None
    replicated, total = orjson.loads(progress_content(progress))
    return replicated, total
