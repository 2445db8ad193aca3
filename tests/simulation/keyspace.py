"""The keys of one simulated Redis server, and what the store's commands and scripts do to them, each in one step.

A script's meaning is written here in Python, on registers; the indexes of details by place and name, and those of
tasks by activity, are left out, because nothing that is simulated reads them. ``tests/contract`` runs one suite on
this and on Redis.

Every write is noted in the server's log, so that a suffix of what it acknowledged can be taken back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgpack

from replog.records import FACTS, Effect, Registers, outcome_order, start_ms
from replog.store.format import detail_codec
from replog.store.write.batch import MOST_TASK_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replog.store.client.command import Command

#: A key's content: a hash or sorted set by field or member; a string under the field b"".
Content: TypeAlias = dict[bytes, Any]
#: What takes back one write: the content, the field, and what it held; ``_ABSENT`` where it held nothing.
Undo: TypeAlias = tuple[Content, bytes, Any]

_ABSENT = object()
_NAMES = (b"start", b"facts", b"outcome", b"progress", b"last")
_PLACES = 7
_SUPERSEDED, _DUPLICATE, _APPLIED = b"0", b"1", b"2"
_EFFECTS = (_SUPERSEDED, _DUPLICATE, _APPLIED)
_SUM_NAMES = (b"s1", b"s2", b"s3", b"s4", b"s5")
#: Which of the sums comes of the facts.
_OF_FACTS = 1
_pack = msgpack.Packer(use_bin_type=False).pack


@lru_cache(4096)
def _unpacked(packed: bytes) -> Any:
    return msgpack.unpackb(packed, raw=True)


@lru_cache(65536)
def _registers_of(status: bytes, packed: bytes) -> tuple[Registers, tuple[int, ...]]:
    """The registers and the sums of a detail as it comes."""
    value = b"\x01" + status + packed
    sums = msgpack.unpackb(packed, raw=True)[6]
    return detail_codec.unpack(value), tuple(sums) if isinstance(sums, list) else (sums,)


def _raw(word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    return word.encode() if isinstance(word, str) else b"%d" % word


def _reply(value: Any) -> Any:
    if isinstance(value, int):
        return b"%d" % value
    return value if value is None or isinstance(value, bytes) else value.encoded()


class _StoredDetail:
    """A detail, encoded when it is read."""

    __slots__ = ("number", "registers", "sums")

    def __init__(self, number: int, registers: Registers, sums: tuple[int, ...]) -> None:
        self.number, self.registers, self.sums = number, registers, sums

    def encoded(self) -> bytes:
        """The value as a hash holds it, but without the names of its indexes."""
        sums = self.sums if len(self.sums) > 1 else self.sums[0]
        return b"%c%b%b" % (self.number, self.registers.outcome[-1:], detail_codec.pack(self.registers, (), sums))


class _Times:
    """Up to which times a bucket is complete, encoded when it is read."""

    __slots__ = ("asked_ms", "of")

    def __init__(self, asked_ms: int, of: tuple[int, ...]) -> None:
        self.asked_ms, self.of = asked_ms, of

    def encoded(self) -> bytes:
        """As :mod:`replog.store.read.as_of` reads it."""
        return bytes(_pack((self.asked_ms, self.of)))


class Keyspace:
    """Keys, and the log of the calls that changed them."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Content] = {}
        #: Of each call that changed something, what takes it back.
        self.log: list[list[Undo]] = []
        self._call: list[Undo] = []
        #: Called after the checkpoints of a bucket moved, with their key; with each field that moved, from where and to
        #: where; and with the partitions whose times moved, and these.
        self.advanced: Callable[[bytes, Sequence[tuple[bytes, int, int]], Sequence[tuple[int, int]]], None] = (
            lambda *_: None
        )

    def run(self, command: Command) -> Any:
        """Do what one command or script does; returns its reply."""
        name = command.command if isinstance(command.command, str) else command.command.name
        reply = _COMMANDS[name](self, command.keys, command.arguments)
        if self._call:
            self.log.append(self._call)
            self._call = []
        return reply

    def lose(self, calls: int) -> None:
        """Take back the last ``calls`` that changed something."""
        for _ in range(min(calls, len(self.log))):
            for content, field, before in reversed(self.log.pop()):
                if before is _ABSENT:
                    content.pop(field, None)
                else:
                    content[field] = before

    def content(self, key: bytes) -> Content:
        """What ``key`` holds; empty where there is no such key."""
        found = self._keys.get(key)
        if found is None:
            found = self._keys[key] = {}
        return found

    def put(self, content: Content, field: bytes, value: Any) -> None:
        """Write a field."""
        self._call.append((content, field, content.get(field, _ABSENT)))
        content[field] = value

    def drop(self, content: Content, field: bytes) -> None:
        """Remove a field, if it is there."""
        if field in content:
            self._call.append((content, field, content.pop(field)))

    def add(self, content: Content, field: bytes, number: int) -> int:
        """Add to a number; returns the sum."""
        total: int = content.get(field, 0) + number
        self.put(content, field, total)
        return total

    def clear(self, key: bytes) -> None:
        """Remove a key."""
        content = self.content(key)
        for field in list(content):
            self.drop(content, field)

    def note_call(self, key: bytes, number: int) -> None:
        """As ``calls.lua``."""
        self.put(self.content(key), b"%d" % number, 1)


class KeyspaceConnection:
    """The store's ``CommandRunner`` on a keyspace of its own, which answers at once."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.keyspace = Keyspace()

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """The replies of the keyspace, at once."""
        return [self.keyspace.run(call) for call in calls]


# Plain commands.


def _hmget(store: Keyspace, keys: Sequence[bytes], fields: Sequence[Any]) -> list[Any]:
    content = store.content(keys[0])
    return [_reply(content.get(_raw(field))) for field in fields]


def _hgetall(store: Keyspace, keys: Sequence[bytes], _: Sequence[Any]) -> dict[bytes, Any]:
    return {field: _reply(value) for field, value in store.content(keys[0]).items()}


def _hset(store: Keyspace, keys: Sequence[bytes], words: Sequence[Any]) -> int:
    content = store.content(keys[0])
    for field, value in zip(words[::2], words[1::2], strict=True):
        store.put(content, _raw(field), value)
    return len(words) // 2


def _unlink(store: Keyspace, keys: Sequence[bytes], _: Sequence[Any]) -> int:
    for key in keys:
        store.clear(key)
    return len(keys)


def _zrangebylex(store: Keyspace, keys: Sequence[bytes], words: Sequence[Any]) -> list[bytes]:
    after, count = words[0][1:], words[4]
    return sorted(member for member in store.content(keys[0]) if member > after)[:count]


def _zrem(store: Keyspace, keys: Sequence[bytes], members: Sequence[bytes]) -> int:
    for member in members:
        store.drop(store.content(keys[0]), member)
    return len(members)


# Scripts of writers.


def _join(state: Registers, candidate: Registers) -> tuple[Registers, Effect]:
    """As ``order.lua``: the product's own join, without the test of the whole where nothing is new."""
    if state == candidate:
        return state, Effect.DUPLICATE
    facts = state.facts
    if facts != candidate.facts and candidate.facts:
        facts = FACTS.greater(facts, candidate.facts)
    joined = Registers(
        max(state.start, candidate.start),
        facts,
        max(state.outcome, candidate.outcome),
        max(state.progress, candidate.progress),
        max(state.last, candidate.last),
    )
    if joined != state:
        return joined, Effect.APPLIED
    same = any(new and new == old for new, old in zip(candidate, state, strict=True))
    return state, Effect.DUPLICATE if same else Effect.SUPERSEDED


class _Merge:
    """One call of ``merge.lua``."""

    def __init__(self, store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> None:
        self.store, self.keys = store, keys
        self.packed_record, self.packed_details, record_id, self.newest_ms, self.now_ms = arguments[:5]
        self.number, self.era, self.merge_id = arguments[5:8]
        self.open, self.mark, self.generation = arguments[9:12]
        self.id = record_id.encode()
        self.record = store.content(keys[0])
        self.counts: dict[bytes, int] = {}

    def run(self) -> list[Any]:
        store, keys = self.store, self.keys
        store.note_call(keys[8], self.number)
        if (erased := store.content(keys[13]).get(self.id)) is not None:
            if erased > self.generation:
                return [b"", Effect.SUPERSEDED.value, erased]
            store.put(store.content(keys[14]), self.id, self.now_ms)
        effects = self._details() if self.packed_details else b""
        answer: list[Any] = [effects]
        changed = b"2" in effects
        if changed:
            self._count()
        if self.packed_record:
            answer += self._record()
        if changed or (len(answer) > 1 and answer[1] == Effect.APPLIED):
            self._note_change()
        if len(keys) > 15 and len(answer) > 6:
            self._put_in_outbox()
        return answer

    def _details(self) -> bytes:
        details, places = self.store.content(self.keys[1]), msgpack.unpackb(self.packed_details, raw=True)
        effects = []
        for at in range(0, len(places), _PLACES):
            detail_id, pair, status, _, _, _, packed = places[at : at + _PLACES]
            candidate, sums = _registers_of(status, packed)
            stored = details.get(detail_id)
            effects.append(
                self._add(details, detail_id, pair, candidate, sums)
                if stored is None
                else self._rewrite(details, detail_id, pair, stored, candidate, sums)
            )
        return b"".join(effects)

    def _add(
        self, details: Content, detail_id: bytes, pair: bytes, registers: Registers, sums: tuple[int, ...]
    ) -> bytes:
        self._count_all(registers, sums, 1)
        self._write(details, detail_id, _StoredDetail(self._pair_number(pair), registers, sums))
        return _APPLIED

    def _rewrite(  # noqa: PLR0917 - as many as there are places
        self,
        details: Content,
        detail_id: bytes,
        pair: bytes,
        stored: _StoredDetail,
        candidate: Registers,
        sums: tuple[int, ...],
    ) -> bytes:
        joined, effect = _join(stored.registers, candidate)
        if effect is not Effect.APPLIED:
            return _EFFECTS[effect]
        self._count_all(stored.registers, stored.sums, -1)
        facts_changed, number = joined.facts != stored.registers.facts, stored.number
        if facts_changed:
            number = self._pair_number(pair)
        sums = _joined_sums(
            stored.sums, sums, of_facts=facts_changed, of_progress=joined.progress != stored.registers.progress
        )
        self._count_all(joined, sums, 1)
        self._write(details, detail_id, _StoredDetail(number, joined, sums))
        return _APPLIED

    def _write(self, details: Content, detail_id: bytes, detail: _StoredDetail) -> None:
        self.store.put(details, detail_id, detail)
        time, ms = self.store.content(self.keys[2]), start_ms(detail.registers.start)
        if time.get(detail_id) != ms:
            self.store.put(time, detail_id, ms)

    def _pair_number(self, pair: bytes) -> int:
        pairs = self.store.content(self.keys[3])
        number: int | None = pairs.get(pair)
        if number is None:
            number = self.store.add(self.record, b"pairs", 1)
            self.store.put(pairs, pair, number)
        return number

    def _count_all(self, registers: Registers, sums: tuple[int, ...], sign: int) -> None:
        counts, status = self.counts, b"n" + registers.outcome[-1:]
        counts[status] = counts.get(status, 0) + sign
        for name, number in zip(_SUM_NAMES, sums, strict=False):
            if number:
                counts[name] = counts.get(name, 0) + sign * number

    def _count(self) -> None:
        for field, by in self.counts.items():
            if by:
                self.store.add(self.record, field, by)
        if self.counts.get(b"n" + self.open):
            unfinished = self.store.content(self.keys[10])
            if self.record.get(b"n" + self.open, 0) > 0:
                self.store.put(unfinished, self.id, 1)
            else:
                self.store.drop(unfinished, self.id)

    def _record(self) -> list[Any]:
        store, record = self.store, self.record
        incoming = _unpacked(self.packed_record)
        state = Registers(*(record.get(name, b"") for name in _NAMES))
        before = state.outcome[-1:]
        joined, effect = _join(state, Registers(*incoming[:5]))
        for name, was, now in zip(_NAMES, state, joined, strict=True):
            if was != now:
                store.put(record, name, now)
        tasks, gone = self._join_tasks(incoming[5:])
        if tasks is not None:
            effect = Effect.APPLIED
            store.put(record, b"tasks", _pack(tasks))
        if effect is Effect.APPLIED:
            self._list_running(joined)
        outcome_changed = joined.outcome != state.outcome
        behind = joined.start != state.start or outcome_changed or tasks is not None
        behind = behind or record.get(b"lists") != self.era.encode()
        if not behind:
            return [effect.value]
        packed_gone = _pack(gone) if gone else b""
        store.put(record, b"lists", (b"!" if gone else b"?") + self.merge_id.encode())
        if gone:
            store.put(record, b"gone", packed_gone)
        answer = [effect.value, joined.start, joined.outcome, record.get(b"tasks", _pack([])), packed_gone]
        after = joined.outcome[-1:]
        if outcome_changed and (after != self.open or before not in (b"", self.open)):
            answer += [before, joined.facts]
        return answer

    def _join_tasks(self, incoming: list[bytes]) -> tuple[list[bytes] | None, list[bytes]]:
        """The task keys, None where they are as they were, and those that the record was listed under before."""
        known = _unpacked(self.record.get(b"tasks") or _pack([]))
        gone = list(_unpacked(self.record.get(b"gone") or _pack([])))
        every = {*known, *incoming}
        kept = sorted(every)[:MOST_TASK_KEYS]
        if {*kept} == {*known}:
            return None, gone
        return kept, gone + [task for task in known if task not in kept]

    def _list_running(self, joined: Registers) -> None:
        running = self.store.content(self.keys[9])
        if joined.outcome[-1:] == self.open:
            self.store.put(running, self.id, joined.last)
        else:
            self.store.drop(running, self.id)

    def _note_change(self) -> None:
        store, record = self.store, self.record
        if store.add(record, b"v", 1) == 1:
            store.put(store.content(self.keys[12]), b"", self.mark)
        store.put(record, b"w", b"%d" % self.now_ms)
        due = store.content(self.keys[6])
        store.put(due, self.id, max(due.get(self.id, -(2**62)), min(self.newest_ms, self.now_ms)))
        if self.newest_ms > self.now_ms and self.newest_ms > int(record.get(b"ahead", self.now_ms)):
            store.put(record, b"ahead", self.newest_ms)

    def _put_in_outbox(self) -> None:
        names, entry = _unpacked(self.arguments_of_outbox), []
        for name in names:
            entry += [name, _reply(self.record.get(name)) or b""]
        member = self.id + b"\0" + outcome_order(self.record[b"outcome"]) + _pack(entry)
        self.store.put(self.store.content(self.keys[15]), member, 0)

    arguments_of_outbox: bytes = b""


def _joined_sums(old: tuple[int, ...], new: tuple[int, ...], *, of_facts: bool, of_progress: bool) -> tuple[int, ...]:
    old, new = old + (0,) * (5 - len(old)), new + (0,) * (5 - len(new))
    sums = [(new if (of_facts if i == _OF_FACTS else of_progress) else old)[i] for i in range(5)]
    while len(sums) > 1 and not sums[-1]:
        sums.pop()
    return tuple(sums)


def _merge(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> list[Any]:
    merge = _Merge(store, keys, arguments)
    if len(keys) > 15:
        merge.arguments_of_outbox = arguments[13]
    return merge.run()


def _enlist(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
    packed, number, task_key, mark, now_ms = arguments
    store.note_call(keys[3], number)
    key = task_key.encode()
    task, time, left, listed = (store.content(keys[i]) for i in (0, 1, 6, 8))
    changed = 0
    for record_id, start, outcome, generation in _unpacked(packed):
        field = key + b"\0" + record_id
        known = listed.get(field, b"")
        if generation < known or (generation == known and field in left):
            continue
        stored = task.get(record_id, (b"", b"")) if generation == known else (b"", b"")
        state = (max(stored[0], start), max(stored[1], outcome))
        if generation > known:
            store.put(listed, field, generation)
            store.put(store.content(keys[9]), field, now_ms)
            store.drop(left, field)
        if state != task.get(record_id):
            store.put(task, record_id, state)
            store.put(time, record_id, start_ms(state[0]))
            changed += 1
    if changed:
        moved = store.content(keys[5])
        store.add(moved, b"", 1)
        if store.add(store.content(keys[0] + b"\0counter"), b"", 1) == 1:
            store.put(store.content(keys[7]), b"", mark)
    return changed


def _take_off(store: Keyspace, keys: Sequence[bytes], record_id: bytes) -> int:
    task, time = store.content(keys[0]), store.content(keys[1])
    if record_id not in task:
        return 0
    store.add(store.content(keys[5]), b"", 1)
    store.drop(task, record_id)
    store.drop(time, record_id)
    store.add(store.content(keys[0] + b"\0counter"), b"", 1)
    return 1


def _leave(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
    record_id, number, task_key, now_ms, generation = arguments
    store.note_call(keys[3], number)
    field = task_key.encode() + b"\0" + record_id.encode()
    listed = store.content(keys[7])
    if listed.get(field, b"") > generation:
        return 0
    if generation:
        store.put(listed, field, generation)
        store.put(store.content(keys[8]), field, now_ms)
    store.put(store.content(keys[6]), field, now_ms)
    return _take_off(store, keys, record_id.encode())


def _settle(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
    era, merge_id = (_raw(word) for word in arguments)
    noted = 0
    for key in keys:
        record = store.content(key)
        lists = record.get(b"lists")
        if lists in (b"?" + merge_id, b"!" + merge_id):
            store.put(record, b"lists", era)
            if lists == b"!" + merge_id:
                store.drop(record, b"gone")
            noted += 1
    return noted


def _erase(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> list[Any]:
    record_id, time, ms, now_ms, number, mark = arguments
    key = record_id.encode()
    store.note_call(keys[10], number)
    erased, relisting = store.content(keys[11]), store.content(keys[13])
    known, effect = erased.get(key, b""), Effect.SUPERSEDED
    if known == time:
        effect = Effect.DUPLICATE
    elif time > known:
        _forget(store, keys, key, time, ms)
        store.put(erased, key, time)
        store.put(store.content(keys[12]), key, now_ms)
        store.put(store.content(keys[15]), b"", mark)
        known, effect = time, Effect.APPLIED
    return [effect.value, known, relisting.get(key, b"")]


def _forget(store: Keyspace, keys: Sequence[bytes], key: bytes, time: bytes, ms: int) -> None:
    record, due, relisting = store.content(keys[0]), store.content(keys[6]), store.content(keys[13])
    outbox = store.content(keys[16])
    for member in [member for member in outbox if member.startswith(key + b"\0")]:
        store.drop(outbox, member)
    tasks = dict.fromkeys(
        [
            *_unpacked(record.get(b"tasks") or _pack([])),
            *_unpacked(record.get(b"gone") or _pack([])),
            *(_unpacked(relisting[key])[1] if key in relisting else ()),
        ]
    )
    if tasks:
        store.put(relisting, key, _pack((time, list(tasks))))
    if key not in due:
        return
    ahead_ms = record.get(b"ahead")
    if max(due[key], due[key] if ahead_ms is None else ahead_ms) >= ms:
        store.put(store.content(keys[14]), key, time)
    for own in keys[:6]:
        store.clear(own)
    for index in (6, 7, 8):
        store.drop(store.content(keys[index]), key)


def _relist(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
    record_id, number, task_key, now_ms, generation = arguments
    store.note_call(keys[3], number)
    field, listed = task_key.encode() + b"\0" + record_id.encode(), store.content(keys[7])
    if generation <= listed.get(field, b""):
        return 0
    store.put(listed, field, generation)
    store.put(store.content(keys[8]), field, now_ms)
    store.drop(store.content(keys[6]), field)
    return _take_off(store, keys, record_id.encode())


def _relisted(store: Keyspace, keys: Sequence[bytes], pairs: Sequence[Any]) -> int:
    relisting, gone = store.content(keys[0]), 0
    for record_id, note in zip(pairs[::2], pairs[1::2], strict=True):
        if relisting.get(_raw(record_id)) == note:
            store.drop(relisting, _raw(record_id))
            gone += 1
    return gone


def _advance(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> int:
    counts, packed_fields, topic, packed_moments = arguments
    applied, moved, lost = store.content(keys[0]), [], False
    for field, begin, end in _unpacked(packed_fields):
        stored = applied.get(field, -1)
        lost = lost or stored < begin
        if stored < end:
            moved.append((field, stored, end))
    if moved and counts != b"\x90":
        for key, count in zip(keys[2:], _unpacked(counts), strict=True):
            lost = lost or len(store.content(key)) < count
    if lost:
        return 0
    for field, _, end in moved:
        store.put(applied, field, end)
    told = _tell_time(store, keys[1], topic.encode(), applied, _unpacked(packed_moments)) if packed_moments else ()
    if moved:
        for key in keys[2:]:
            store.clear(key)
    if moved or told:
        store.advanced(keys[0], moved, told)
    return 1


def _tell_time(store: Keyspace, key: bytes, topic: bytes, applied: Content, moments: Any) -> Sequence[tuple[int, int]]:
    """As ``advance.lua``; returns the partitions whose times moved, with these."""
    partitions, asked_ms, reached = moments
    as_of = store.content(key)
    stored: _Times | None = as_of.get(topic)
    asked_before, times = (stored.asked_ms, list(stored.of)) if stored else (0, [])
    if asked_ms > asked_before:
        least = min(times, default=0)
        times = times[:partitions] + [least] * (partitions - len(times))
        asked_before = asked_ms
    told = [
        (number, ms)
        for number, offset, ms in reached
        if number < len(times) and applied.get(_field(topic, number), -1) >= offset
    ]
    for number, ms in told:
        times[number] = ms
    store.put(as_of, topic, _Times(asked_before, tuple(times)))
    return told


@lru_cache(256)
def _field(topic: bytes, number: int) -> bytes:
    return b"%b:%d" % (topic, number)


# Scripts of readers.


def _newest(time: Content) -> list[bytes]:
    return sorted(time, key=lambda member: (time[member], member), reverse=True)


def _page(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> list[Any]:
    _, details, time = map(store.content, keys)
    offset, limit, _, letters, every_letter = arguments
    (version,) = _hmget(store, keys, ["v"])
    newest = _newest(time)
    if {*letters} != {*every_letter}:
        newest = [detail_id for detail_id in newest if details[detail_id].registers.outcome[-1] in letters]
    ids = newest[offset : offset + limit]
    return [version, len(newest), ids, [_reply(details[detail_id]) for detail_id in ids]]


def _task_page(store: Keyspace, keys: Sequence[bytes], arguments: Sequence[Any]) -> list[Any]:
    time = store.content(keys[0])
    offset, limit, _ = arguments
    return [int(bool(time)), len(time), _newest(time)[offset : offset + limit]]


_COMMANDS: dict[str, Callable[[Keyspace, Sequence[bytes], Sequence[Any]], Any]] = {
    "HMGET": _hmget,
    "HGET": lambda store, keys, fields: (
        _reply(store.content(keys[0] + b"\0counter").get(b""))
        if list(fields) == [""]
        else _hmget(store, keys, fields)[0]
    ),
    "HGETALL": _hgetall,
    "HSET": _hset,
    "UNLINK": _unlink,
    "ZRANGEBYLEX": _zrangebylex,
    "ZREM": _zrem,
    "merge": _merge,
    "enlist": _enlist,
    "leave": _leave,
    "settle": _settle,
    "erase": _erase,
    "relist": _relist,
    "relisted": _relisted,
    "advance": _advance,
    "page": _page,
    "task_page": _task_page,
}
