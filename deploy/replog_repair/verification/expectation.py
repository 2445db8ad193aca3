"""The port to what a store should have. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from replog.records import Registers
    from replog.store.transfer.register_scan import Erasure, RecordPart


class Expectation(Protocol):
    """The states that a store should have: those of the topic's events, or of another store.

    It may have more meanwhile; :meth:`renew` takes it in.
    """

    async def renew(self) -> None:
        """Take in what came since."""

    def record_ids(self, bucket: int) -> AsyncIterator[Sequence[str]]:
        """The ids of a bucket's records, in steps."""

    def task_records(self, task_key: str) -> AsyncIterator[Sequence[str]]:
        """The ids of the records that are of a task, in steps."""

    async def record(self, record_id: str) -> RecordPart | None:
        """A record without its details, of the generation of :meth:`erasure`; None where nothing is known of it."""

    async def erasure(self, record_id: str) -> Erasure:
        """Up to which time the record should be erased; an empty generation for never."""

    async def details(self, record_id: str, ids: Collection[str]) -> Mapping[str, Registers]:
        """Those of these details that the record should have."""

    async def detail_count(self, record_id: str) -> int:
        """The number of details that the record should have."""

    def detail_steps(self, record_id: str) -> AsyncIterator[Mapping[str, Registers]]:
        """All details that the record should have, in steps."""

    def is_whole(self, start_ms: int) -> bool:
        """Whether everything is known of a record or detail that began then.

        Otherwise events of it may be missing here, and the store may have more.
        """
