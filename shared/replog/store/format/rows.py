"""Stored rows of records and details, as they came from Redis; reading one is a pure function of its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.json import Decoder

from replog import raw_entities
from replog.entities import Overview, detail_from, record_from
from replog.records import Registers
from replog.statuses import FAILED, RUNNING, STATUS_LETTERS, SUCCESS
from replog.store.format import detail_codec
from replog.store.format.index_entries import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.entities import Detail, Record
    from replog.raw_entities import RawDetail, RawRecord

_REGISTER_FIELDS = ("start", "facts", "outcome", "progress", "last")
_OVERVIEW_FIELDS = (
    *(f"n{STATUS_LETTERS[status].decode()}" for status in (SUCCESS, FAILED, RUNNING)),
    *(f"s{i}" for i in range(1, len(Sums._fields) + 1)),
)
#: Fields of a record's hash that make a :class:`StoredRecord`, in order; last its version: the counter of its changes
#: and the time of the last one.
RECORD_FIELDS = (*_REGISTER_FIELDS, *_OVERVIEW_FIELDS, "v", "w")
#: Fields of a record's hash that make its roll-up; last the counter, which every record has.
ROLL_UP_FIELDS = (*_OVERVIEW_FIELDS, "v")
_REGISTERS = len(_REGISTER_FIELDS)
_OUTCOME = _REGISTER_FIELDS.index("outcome")


class StoredDetail(NamedTuple):
    """A detail."""

    record_id: str
    detail_id: bytes
    value: bytes

    def read(self) -> Detail:
        """The detail that is stored."""
        return detail_from(self.record_id, self.detail_id.decode(), detail_codec.unpack(self.value))


def raw_details(rows: Sequence[StoredDetail]) -> list[RawDetail]:
    """The details of these rows for answers, with facts as they are stored."""
    if not rows:
        return []
    contents = detail_codec.unpack_contents([row.value for row in rows])
    return raw_entities.details_from([row[:2] for row in rows], contents)


class StoredRecord(NamedTuple):
    """A record, or what its details alone have left: the values of :data:`RECORD_FIELDS`."""

    record_id: str
    fields: tuple[bytes | None, ...]

    @property
    def exists(self) -> bool:
        """Whether the record or a detail of it was seen."""
        return self.counter is not None

    @property
    def counter(self) -> bytes | None:
        """Counter of the changes of the record and its details; None where neither was seen."""
        return self.fields[-2]

    @property
    def written(self) -> bytes | None:
        """Time of the last change in ms, in digits, by the collector's clock."""
        return self.fields[-1]

    @property
    def written_ms(self) -> int:
        """The same as a number; 0 where neither the record nor a detail of it was seen."""
        return int(self.written or 0)

    @property
    def outcome(self) -> bytes:
        """Its outcome register; empty where the record is not known."""
        return self.fields[_OUTCOME] or b""

    @property
    def known(self) -> bool:
        """Whether an event of the record itself was seen."""
        return self.fields[0] is not None

    def read(self) -> Record:
        """The record that is stored, where it is known."""
        registers = Registers._make(field or b"" for field in self.fields[:_REGISTERS])
        return record_from(self.record_id, registers, _overview(self.fields[_REGISTERS:-2]))

    def read_raw(self) -> RawRecord:
        """The same for answers, with facts as they are stored."""
        return raw_entities.record_from(self.fields[:_REGISTERS], _overview(self.fields[_REGISTERS:-2]))

    def with_roll_up(self, values: Sequence[bytes | None]) -> StoredRecord:
        """This record with the roll-up of ``values``, of :data:`ROLL_UP_FIELDS`; as it is where these are of none."""
        *roll_up, counter = values
        if counter is None:
            return self
        return StoredRecord(self.record_id, (*self.fields[:_REGISTERS], *roll_up, *self.fields[-2:]))

    def read_overview(self) -> Overview:
        """The roll-up, also where only details were seen."""
        return self.read().overview if self.known else _overview(self.fields[_REGISTERS:-2])


class StoredTask(NamedTuple):
    """A task with its latest record; None where it has none."""

    key: str
    record: StoredRecord | None


#: Faster than ``int`` for each.
_integers = Decoder(list[int]).decode


def _overview(fields: Sequence[bytes | None]) -> Overview:
    success, failed, running, *parts = _integers(b"[%b]" % b",".join([field or b"0" for field in fields]))
    sums = Sums(*parts)
    return Overview(success, failed, running, None, sums.skip, sums.conflicts, sums.total_size)
