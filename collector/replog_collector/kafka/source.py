"""The port to Kafka: where a collector's messages come from, and where its commits go."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replog.store.write.offsets import Span


class Message(Protocol):
    """What a collector reads of a message."""

    @property
    def partition(self) -> int:
        """Number of its partition."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When it was published, in milliseconds since the epoch; negative where that is not known."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value; None in a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Its headers."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that cannot be read, for the reason ``error``, or several of which none can be.

    It is a :class:`Message` itself, of what could be read: of several ``offset`` is the first, ``last`` the last.
    """

    partition: int
    offset: int
    error: str
    _: KW_ONLY
    #: By default the first: it is one message.
    last: int = -1
    timestamp: int = -1
    key: bytes | None = None
    value: bytes | None = None
    #: A name that is no UTF-8 stands here with its other bytes as ``\\xe9``.
    headers: Sequence[tuple[str, bytes | None]] = ()

    def __post_init__(self) -> None:
        """Fill in ``last``."""
        object.__setattr__(self, "last", max(self.offset, self.last))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an assigned partition stands: the offset of its next message, and that behind its last one.

    What follows a transaction that is open does not count, nor does that: it cannot be read yet.
    """

    position: int
    end: int


@dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """What the broker answered when it was asked, at ``asked_ms`` since 1970 by this machine's clock.

    ``partitions`` is how many the topic has; ``ends`` are the offsets behind the last messages of assigned ones, those
    that cannot be read yet because a transaction is open included.
    """

    asked_ms: int
    partitions: int
    ends: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Polled:
    """Messages, in order within each partition, and what cannot be read between them.

    Not every offset is one of a message: Kafka itself writes the ends of transactions, what was aborted is no message,
    and compaction removes some.
    """

    messages: Sequence[Message] = ()
    #: By partition: the offsets of which these are all messages, with those that cannot be read; there may be none.
    spans: Mapping[int, Span] = field(default_factory=dict)
    unreadable: Sequence[Unreadable] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to apply."""
        return bool(self.messages or self.spans)


class Source(Protocol):
    """A consumer group's member. Committed offsets name the *next* message.

    It reads an assigned partition from the lower of the committed offset and the store's marker.
    """

    @property
    def positions(self) -> Mapping[int, int]:
        """By assigned partition, once it is known where to read it from: the offset of its next message to apply.

        It begins at what the store's marker is at least, and is moved on by :meth:`commit` alone, or by going back.
        """

    @property
    def moving(self) -> bool:
        """Whether the group moves partitions, and this member waits for its share, which may be none.

        One whose name another member has taken waits too, and for something else.
        """

    @property
    def look(self) -> TopicSnapshot | None:
        """The last look at the topic, which polls take again and again; None before the first."""

    async def start(self) -> None:
        """Join the group. Raises BrokerUnavailable."""

    async def stop(self) -> None:
        """Leave the group; nothing is committed by this."""

    async def poll(self, timeout_s: float, *, paused: bool = False) -> Polled:
        """The next messages; none after ``timeout_s`` without any.

        With ``paused`` always nothing: nothing is taken, nothing more is fetched, and the member keeps its place in the
        group. Raises BrokerUnavailable, or StoreUnavailable while the markers cannot be read; what was not taken comes
        with a later call.
        """

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets by partition, except of those no longer assigned, and never back.

        Raises BrokerUnavailable; the source then tries again by itself while the partitions stay assigned.
        """

    async def rewind(self) -> None:
        """Go back with every assigned partition to what the store has. Raises BrokerUnavailable, StoreUnavailable."""

    async def check(self) -> None:
        """Return where the broker answers. Raises BrokerUnavailable."""

    def standings(self) -> dict[int, Standing]:
        """Assigned partitions of which position and end are known."""
