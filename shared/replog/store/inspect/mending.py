"""Repairs what an inspection has found, by the edits that go with the findings."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgpack

from replog.store.client.command import Command
from replog.store.client.scripts import MEND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replog.store.client.pipelining import CommandRunner
    from replog.store.inspect.findings import Edit, Finding, Guard

#: Edits in one call: they take Redis about a millisecond.
EDITS_A_CALL = 200

_pack = msgpack.Packer(use_bin_type=False).pack


async def mend(connection: CommandRunner, findings: Iterable[Finding]) -> int:
    """Make the edits of ``findings``; returns how many were made.

    Those of one record, or of one task's list, are made :data:`EDITS_A_CALL` at a time, each time atomically, and only
    while nothing else has changed it since it was examined.

    Raises:
        StoreUnavailable: examine again; what was made stays.
    """
    groups: dict[Guard, list[Edit]] = defaultdict(list)
    for finding in findings:
        if finding.edit and finding.guard:
            groups[finding.guard].append(finding.edit)
    parts = [part for guard, edits in groups.items() for part in _parts(guard, edits)]
    replies = await connection.run([_call(guard, edits) for guard, edits in parts])
    return sum(len(edits) for (_, edits), made in zip(parts, replies, strict=True) if made)


def _parts(guard: Guard, edits: list[Edit]) -> Iterator[tuple[Guard, list[Edit]]]:
    """The edits call by call; each call moves the version on by one, if there is one."""
    for step, i in enumerate(range(0, len(edits), EDITS_A_CALL)):
        value = None if guard.value is None else b"%d" % (int(guard.value) + step)
        yield guard._replace(value=value), edits[i : i + EDITS_A_CALL]


def _call(guard: Guard, edits: list[Edit]) -> Command:
    keys = [guard.key, *dict.fromkeys(edit.key for edit in edits)]
    # The guard's own key may be edited, too; Lua counts from 1.
    places = {key: at for at, key in enumerate(keys, start=1)}
    packed = _pack([(places[edit.key], edit.verb, *edit.words) for edit in edits])
    return Command(MEND, keys, (guard.field, guard.value or b"", packed))
