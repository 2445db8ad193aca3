"""Examines what the store derives from one record's registers.

That is its indexes, counts and sums, and its places in the indexes of its bucket and in the lists of its tasks.
Everything is read in steps of bounded size, and memory does not grow with the details: each entry that a detail should
have is asked for, and only where an index holds more than these is it walked itself. What is found holds for the
version of the record that was examined; :func:`examine` says where that has moved meanwhile.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.records import EMPTY, Registers, last_ms, progress_of, start_ms
from replog.statuses import LETTERS, RUNNING, STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.format import detail_codec
from replog.store.format.detail_codec import TIME_BYTES, pair_bytes
from replog.store.format.index_entries import placement_of, sums_of
from replog.store.format.keys import RecordKeys, task_keys
from replog.store.format.short_ids import ids_of, short_of
from replog.store.inspect.findings import MOST_OF_ONE, Edit, Finding, Guard, shown
from replog.store.transfer.register_scan import GARBLED
from replog.store.transfer.stored_states import StoredState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from replog.store.client.pipelining import CommandRunner

VERSION = b"v"
_RUNNING = STATUS_LETTERS[RUNNING]
_BIAS_BYTES = 7
#: The numbers of a pair that has no details.
_NO_DETAILS = b",".join([b"0"] * len(LETTERS))
#: Entries that are read in one step of a walk over an index.
_ENTRIES = 500
_FIRST, _MOST, _BYTES = 20, 500, 1024 * 1024


class Examined(NamedTuple):
    """A record that was examined: its registers, the number of its details, the findings.

    ``steady`` is false where it was written to meanwhile: then the findings may be of what was under way. ``version``
    moves with each change of the record.
    """

    registers: Registers
    task_keys: tuple[str, ...]
    details: int
    findings: list[Finding]
    steady: bool
    version: bytes | None


async def examine(
    connection: CommandRunner, record_id: str, each_step: Callable[[Mapping[str, Registers]], Awaitable[None]]
) -> Examined:
    """Examine a record; ``each_step`` gets all of its details, in steps. Raises StoreUnavailable, StoreRefused."""
    check = _RecordCheck(connection, record_id)
    await check.begin()
    async for values in check.details():
        await each_step(await check.examine_details(values))
    await check.examine_sizes()
    check.examine_fields()
    await check.examine_places()
    return await check.ended()


class _Wanted(NamedTuple):
    """The entries and addends that the store should have of a detail."""

    head: bytes
    by_status: bytes
    by_pair: bytes
    by_name: set[bytes]
    sums: tuple[int, ...]
    texts: tuple[bytes, ...]


class _RecordCheck:
    def __init__(self, connection: CommandRunner, record_id: str) -> None:
        self._connection = connection
        self._id = record_id
        self._keys = RecordKeys(connection.prefix, record_id)
        self._fields: dict[bytes, bytes] = {}
        self._pairs: dict[bytes, bytes] = {}
        self._counts: Counter[bytes] = Counter()
        self._pair_counts = defaultdict[bytes, list[int]](lambda: [0] * len(LETTERS))
        self._sums = [0] * 5
        self._details = 0
        self._entries: Counter[bytes] = Counter()
        self._missing: Counter[bytes] = Counter()
        self._newest_ms: int | None = None
        self._found: list[Finding] = []
        self._registers = EMPTY
        self._garbled = False

    async def begin(self) -> None:
        """Read the record's own fields, and its pairs."""
        async for fields in self._scan("HSCAN", self._keys.record):
            self._fields |= fields
        self._registers = Registers(*(self._fields.get(name.encode(), b"") for name in Registers._fields))
        async for members in self._members(self._keys.pairs):
            for member in members:
                pair, number = _split_number(member)
                self._pairs[number] = pair

    @property
    def _guard(self) -> Guard:
        return Guard(self._keys.record, VERSION, self._fields.get(VERSION))

    async def details(self) -> AsyncIterator[dict[bytes, bytes]]:
        """The stored details, in steps."""
        cursor, step, widest = 0, _FIRST, 1
        while True:
            ((cursor, values),) = await self._run(Command("HSCAN", [self._keys.details], [cursor, "COUNT", step]))
            widest = max(widest, *map(len, values.values())) if values else widest
            step = max(1, min(_MOST, _BYTES // widest))
            yield values
            if not int(cursor):
                return

    async def examine_details(self, values: Mapping[bytes, bytes]) -> dict[str, Registers]:
        """Examine a step of details; returns their registers."""
        known, wanted = {}, {}
        for raw_id, value in values.items():
            try:
                registers = detail_codec.unpack(value)
                known[raw_id.decode()] = registers
                wanted[raw_id] = self._wanted(raw_id, value, registers)
            except GARBLED as error:
                self._garbled = True
                self._find("unreadable", self._keys.details, f"{shown(raw_id)} cannot be read: {error!r}", raw_id)
        for raw_id, of in wanted.items():
            self._count(known[raw_id.decode()], of)
            self._examine_value(raw_id, values[raw_id], of)
        await self._ask(wanted)
        return known

    def _wanted(self, raw_id: bytes, value: bytes, registers: Registers) -> _Wanted:
        state = StoredState("detail", registers)
        placement = placement_of(state.facts_event)
        sums = sums_of(placement.conflicts, progress_of(registers.progress) if registers.progress else None)  # type: ignore[arg-type] # as far as it is read
        number = value[: pair_bytes(value[0])]
        if self._pairs.get(number) != placement.pair:
            right = next((known for known, pair in self._pairs.items() if pair == placement.pair), None)
            self._find("pair", self._keys.details, f"{shown(raw_id)} is in another pair than its facts say", raw_id)
            number = right or number
        ms, status = start_ms(registers.start), registers.outcome[-1:]
        tail = (ms + (1 << 46)).to_bytes(_BIAS_BYTES, "big") + short_of(raw_id)
        by_name = {status + name + b"\0" + number + tail for name in placement.names}
        by_status = status + tail[:TIME_BYTES] + raw_id
        return _Wanted(number + status, by_status, number + status + tail, by_name, tuple(sums), placement.names)

    def _count(self, registers: Registers, of: _Wanted) -> None:
        self._details += 1
        self._counts[b"n" + of.head[-1:]] += 1
        self._pair_counts[of.head[:-1]][LETTERS.index(of.head[-1:])] += 1
        self._sums = [total + number for total, number in zip(self._sums, of.sums, strict=True)]
        self._entries[self._keys.by_status] += 1
        self._entries[self._keys.by_pair] += 1
        self._entries[self._keys.by_name] += len(of.by_name)
        ms = last_ms(registers.last)
        self._newest_ms = ms if self._newest_ms is None else max(ms, self._newest_ms)

    def _examine_value(self, raw_id: bytes, value: bytes, of: _Wanted) -> None:
        """The stored names and sums: by them the scripts take entries and addends back when the detail changes."""
        *_, names, sums = msgpack.unpackb(value[pair_bytes(value[0]) + 1 :], raw=True)
        shortened = detail_codec.shortened(sums_from(of.sums))
        kept = tuple(sums) if isinstance(sums, list) else sums
        if kept != shortened:
            self._find("detail_sums", self._keys.details, f"{shown(raw_id)} notes sums {kept}, not {shortened}", raw_id)
        if _texts(names, detail_codec.unpack(value).facts) != list(of.texts):
            self._find("detail_names", self._keys.details, f"{shown(raw_id)} notes other names than its facts", raw_id)

    async def _ask(self, wanted: Mapping[bytes, _Wanted]) -> None:
        """Ask for the entries that these details should have."""
        if not wanted:
            return
        names = [(raw_id, entry) for raw_id, of in wanted.items() for entry in of.by_name]
        calls = [
            Command("ZMSCORE", [self._keys.by_status], [of.by_status for of in wanted.values()]),
            Command("ZMSCORE", [self._keys.by_pair], [of.by_pair for of in wanted.values()]),
        ]
        parts = [names[i : i + _ENTRIES] for i in range(0, len(names), _ENTRIES)]
        calls += [Command("ZMSCORE", [self._keys.by_name], [entry for _, entry in part]) for part in parts]
        statuses, pairs, *of_names = await self._run(*calls)
        for (raw_id, of), status, pair in zip(wanted.items(), statuses, pairs, strict=True):
            self._examine_score(self._keys.by_status, of.by_status, status, raw_id)
            self._examine_score(self._keys.by_pair, of.by_pair, pair, raw_id)
        for part, scores in zip(parts, of_names, strict=True):
            for (raw_id, entry), score in zip(part, scores, strict=True):
                self._examine_score(self._keys.by_name, entry, score, raw_id)

    def _examine_score(self, key: bytes, entry: bytes, score: float | None, raw_id: bytes) -> None:
        """Entries are in order only where all scores are equal."""
        if score is not None and not float(score):
            return
        self._missing[key] += score is None
        text = f"the entry {shown(entry)} is missing, or its score is not 0"
        self._find("missing_entry", key, text, raw_id, Edit("zadd", key, (0, entry)))

    async def examine_sizes(self) -> None:
        """Walk each index that has more entries than its details should have."""
        keys = (self._keys.by_status, self._keys.by_pair, self._keys.by_name)
        for key, size in zip(keys, await self._run(*(Command("ZCARD", [key]) for key in keys)), strict=True):
            if size > self._entries[key] - self._missing[key]:
                await self._find_extra(key)

    async def _find_extra(self, key: bytes) -> None:
        async for entries in self._index(key):
            ids = {entry: _id_in(entry, key, self._keys) for entry in entries}
            known = [raw_id for raw_id in {*ids.values()} if raw_id is not None]
            values = (await self._run(Command("HMGET", [self._keys.details], known)))[0] if known else []
            stored = {raw_id: value for raw_id, value in zip(known, values, strict=True) if value is not None}
            for entry, raw_id in ids.items():
                if raw_id is None or raw_id not in stored or not self._has(key, entry, raw_id, stored[raw_id]):
                    text = f"the entry {shown(entry)} is one too many"
                    self._find("extra_entry", key, text, raw_id, Edit("zrem", key, (entry,)))

    def _has(self, key: bytes, entry: bytes, raw_id: bytes, value: bytes) -> bool:
        try:
            wanted = self._wanted(raw_id, value, detail_codec.unpack(value))
        except GARBLED:
            return True
        if key == self._keys.by_name:
            return entry in wanted.by_name
        return entry == (wanted.by_pair if key == self._keys.by_pair else wanted.by_status)

    def examine_fields(self) -> None:
        """Compare counts and sums with those of the details."""
        if self._garbled:
            return
        self._counts.update({b"s%d" % at: number for at, number in enumerate(self._sums, start=1)})
        wanted = {name: b"%d" % number for name, number in self._counts.items()}
        wanted |= {b"f" + pair: b",".join([b"%d" % number for number in of]) for pair, of in self._pair_counts.items()}
        stored = {name for name in self._fields if _is_count(name)}
        for name in sorted(stored | {*wanted}):
            none = _NO_DETAILS if name[:1] == b"f" else b"0"
            has, should = self._fields.get(name, none), wanted.get(name, none)
            if has != should:
                text = f"{shown(name)} is {shown(has)}, and the details give {shown(should)}"
                self._find("sum", self._keys.record, text, edit=Edit("hset", self._keys.record, (name, should)))

    async def examine_places(self) -> None:
        """Compare the record's places in its bucket's indexes, and in its tasks' lists."""
        bucket, raw_id = self._keys.bucket, self._id.encode()
        due, running, unfinished = await self._run(
            Command("ZSCORE", [bucket.due], [raw_id]),
            Command("ZSCORE", [bucket.running], [raw_id]),
            Command("SISMEMBER", [bucket.unfinished], [raw_id]),
        )
        self._examine_due(due)
        own = self._registers
        since = last_ms(own.last) if own.outcome[-1:] == _RUNNING else None
        if (None if running is None else int(running)) != since:
            edit = (
                Edit("zrem", bucket.running, (raw_id,))
                if since is None
                else Edit("zadd", bucket.running, (since, raw_id))
            )
            self._find("running", bucket.running, f"its last event is {since}, and the entry {running}", edit=edit)
        runs = self._counts[b"n" + _RUNNING] > 0
        if bool(unfinished) != runs and not self._garbled:
            edit = Edit("sadd" if runs else "srem", bucket.unfinished, (raw_id,))
            self._find(
                "unfinished", bucket.unfinished, f"it has RUNNING details: {runs}; listed: {not runs}", edit=edit
            )
        await self._examine_lists()

    def _examine_due(self, due: float | None) -> None:
        own_ms = [last_ms(self._registers.last)] if self._registers.last else []
        newest_ms = max([*own_ms, *([] if self._newest_ms is None else [self._newest_ms])], default=None)
        if newest_ms is None or (due is not None and max(due, int(self._fields.get(b"ahead", b"0"))) >= newest_ms):
            return
        key = self._keys.bucket.due
        edit = Edit("zadd", key, (newest_ms, self._id.encode()))
        self._find("due", key, f"its newest event is {newest_ms}, and the entry {due}", edit=edit)

    async def _examine_lists(self) -> None:
        keys = self.task_keys
        calls = [Command("HGET", [task_keys(self._connection.prefix, key)[0]], [self._id]) for key in keys]
        for key, stored in zip(keys, await self._run(*calls), strict=True):
            if stored is None:
                place = task_keys(self._connection.prefix, key)[0]
                self._find("not_listed", place, "it is missing in the list of its task", task_key=key)

    @property
    def task_keys(self) -> tuple[str, ...]:
        """Keys of the record's tasks."""
        packed = self._fields.get(b"tasks")
        return tuple(raw.decode() for raw in msgpack.unpackb(packed, raw=True)) if packed else ()

    async def ended(self) -> Examined:
        """The result."""
        (version,) = await self._run(Command("HGET", [self._keys.record], [VERSION]))
        size = (await self._run(Command("HLEN", [self._keys.details])))[0]
        steady = version == self._fields.get(VERSION) and (size == self._details or self._garbled)
        return Examined(self._registers, self.task_keys, self._details, self._found, steady, version)

    def _find(
        self,
        what: str,
        key: bytes,
        text: str,
        raw_id: bytes | None = None,
        edit: Edit | None = None,
        *,
        task_key: str | None = None,
    ) -> None:
        if len(self._found) >= MOST_OF_ONE:
            return
        detail_id = None if raw_id is None else raw_id.decode(errors="backslashreplace")
        self._found.append(Finding(what, self._id, key, text, detail_id, task_key, edit, self._guard))

    async def _run(self, *calls: Command) -> list[Any]:
        return await self._connection.run(calls)

    async def _scan(self, command: str, key: bytes) -> AsyncIterator[Any]:
        cursor = 0
        while True:
            ((cursor, found),) = await self._run(Command(command, [key], [cursor, "COUNT", _ENTRIES]))
            yield found
            if not int(cursor):
                return

    async def _index(self, key: bytes) -> AsyncIterator[list[bytes]]:
        cursor = 0
        while True:
            ((cursor, found),) = await self._run(Command("ZSCAN", [key], [cursor, "COUNT", _ENTRIES]))
            yield [member for member, _ in found]
            if not int(cursor):
                return

    async def _members(self, key: bytes) -> AsyncIterator[list[bytes]]:
        async for found in self._index(key):
            yield found


def sums_from(numbers: Sequence[int]) -> Any:
    """The numbers as the codec takes them."""
    return tuple(numbers)


def _split_number(member: bytes) -> tuple[bytes, bytes]:
    cluster, repo, scheme, number = member.split(b"\x00", 3)
    return b"%b\x00%b\x00%b\x00" % (cluster, repo, scheme), number


def _is_count(name: bytes) -> bool:
    known = {b"facts", b"start"}
    return name not in known and (name[:1] in (b"n", b"f") or (name[:1] == b"s" and name[1:].isdigit()))


def _texts(names: Any, facts: bytes) -> list[bytes]:
    """The names in a detail's value, see :mod:`replog.store.format.detail_codec`."""
    if isinstance(names, bytes):
        return [names] if names else []
    texts, at = [], 0
    while at < len(names):
        if isinstance(names[at], bytes):
            texts.append(names[at])
            at += 1
        else:
            kind, position, length = names[at : at + 3]
            texts.append(b"ptavk"[kind : kind + 1] + facts[position : position + length])
            at += 3
    return texts


def _id_in(entry: bytes, key: bytes, keys: RecordKeys) -> bytes | None:
    """The id of the detail that an entry of one of the record's indexes is of; None where it is none."""
    if key == keys.by_status:
        return entry[1 + TIME_BYTES :]
    try:
        if key == keys.by_name:
            entry = entry[entry.index(b"\0") + 1 :]
            return ids_of([entry[pair_bytes(entry[0]) + TIME_BYTES :]])[0]
        return ids_of([entry[pair_bytes(entry[0]) + 1 + TIME_BYTES :]])[0]
    except GARBLED:
        return None
