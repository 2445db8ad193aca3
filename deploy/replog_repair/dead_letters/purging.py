"""The deletion of dead letters: what it would delete, checked before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.errors import FatalError
from replog.store.write.offsets import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from replog_repair.dead_letters.letter import Place


def to_delete(topic: str, available: Mapping[int, Span], befores: Iterable[Place]) -> dict[int, Span]:
    """The offsets that are deleted if all before each of ``befores`` is, by partition; none where they are gone.

    Raises:
        FatalError: a partition does not exist, is named twice, or ends before that offset.
    """
    spans: dict[int, Span] = {}
    for number, before in befores:
        if number not in available:
            raise FatalError(f"{topic} has no partition {number}; it has {len(available)}, from 0 on")
        if number in spans:
            raise FatalError(f"partition {number} is given twice; give one offset for each partition")
        begin, end = available[number]
        if before > end:
            raise FatalError(
                f"partition {number} of {topic} ends before offset {end}; {number}:{before} is beyond that"
            )
        spans[number] = Span(begin, max(begin, before))
    return spans
