"""The port to Kafka: a source of messages that takes commits. Pure."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Message(Protocol):
    """A Kafka message, as far as a collector reads it."""

    @property
    def partition(self) -> int:
        """Number of its partition."""

    @property
    def offset(self) -> int:
        """Its offset in the partition."""

    @property
    def timestamp(self) -> int:
        """Time of publishing in ms since 1970; negative where unknown."""

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
    """A message that cannot be read, or a range of such messages; ``error`` is the reason.

    It is a :class:`Message` of what could be read. Of a range, ``offset`` is the first and ``last`` the last.
    """

    partition: int
    offset: int
    error: str
    _: KW_ONLY
    #: By default ``offset``: one message.
    last: int = -1
    timestamp: int = -1
    key: bytes | None = None
    value: bytes | None = None
    #: Bytes of a name that are no UTF-8 are escaped as ``\\xe9``.
    headers: Sequence[tuple[str, bytes | None]] = ()

    def __post_init__(self) -> None:
        """Fill in ``last``."""
        object.__setattr__(self, "last", max(self.offset, self.last))


@dataclass(frozen=True, slots=True)
class Standing:
    """The position of an assigned partition: the offset of its next message, and its end, one after its last message.

    An open transaction and what follows it do not count: they cannot be read yet. ``committed`` is the offset that the
    group has committed; by default the position.
    """

    position: int
    end: int
    committed: int = -1

    def __post_init__(self) -> None:
        """Fill in ``committed``."""
        if self.committed < 0:
            object.__setattr__(self, "committed", self.position)


@dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """The topic as the broker described it, asked at ``asked_ms`` since 1970 by this machine's clock.

    ``partitions`` is the number of partitions. ``ends`` are the offsets after the last messages of assigned partitions;
    messages of open transactions count.
    """

    asked_ms: int
    partitions: int
    ends: Mapping[int, int]


class PolledSpan(NamedTuple):
    """A range of offsets that was polled: the first, the one after the last, and the epoch of the partition then.

    A partition gets an epoch, which no other has had, each time its start is decided.
    """

    begin: int
    end: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Polled:
    """The messages of one poll, in order within each partition, and those among them that cannot be read.

    Not every offset holds a message: Kafka writes the ends of transactions, aborted messages do not count, and
    compaction removes some.
    """

    messages: Sequence[Message] = ()
    #: By partition, the range of offsets whose messages these are; there may be none in it.
    spans: Mapping[int, PolledSpan] = field(default_factory=dict)
    unreadable: Sequence[Unreadable] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to apply."""
        return bool(self.messages or self.spans)


class Source(Protocol):
    """A member of the consumer group. Committed offsets name the *next* message.

    It reads an assigned partition from the lower of the committed offset and the store's checkpoint.
    """

    @property
    def positions(self) -> Mapping[int, int]:
        """By assigned partition whose start is known, the offset of its next message to apply.

        It begins at the store's checkpoint or before, and only :meth:`commit` and going back move it.
        """

    @property
    def epochs(self) -> Mapping[int, int]:
        """The epochs of the partitions in :attr:`positions`. What was polled in an earlier one comes again."""

    @property
    def moving(self) -> bool:
        """Whether a rebalance is under way, and this member waits for its assignment, which may be empty.

        False for a member that waits because another one has its instance id.
        """

    @property
    def snapshot(self) -> TopicSnapshot | None:
        """The last snapshot of the topic, which polls renew; None before the first."""

    async def start(self) -> None:
        """Join the group. Raises BrokerUnavailable."""

    async def stop(self) -> None:
        """Leave the group; commits nothing."""

    async def poll(self, timeout_s: float, *, paused: bool = False) -> Polled:
        """The next messages; none where none came within ``timeout_s``.

        With ``paused`` there are none: no message is returned or fetched, and the member keeps its place in the group.
        Raises BrokerUnavailable, or StoreUnavailable while checkpoints cannot be read; later calls return what this one
        did not.
        """

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets by partition, except of those no longer assigned, and never back.

        Raises BrokerUnavailable; the source then retries by itself while the partitions stay assigned.
        """

    async def rewind(self) -> None:
        """Go back with every assigned partition to its checkpoint. Raises BrokerUnavailable, StoreUnavailable."""

    async def check(self) -> None:
        """Return where the broker answers. Raises BrokerUnavailable."""

    def standings(self) -> dict[int, Standing]:
        """Position and end of assigned partitions of which both are known."""
