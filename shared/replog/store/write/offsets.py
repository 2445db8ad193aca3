"""Ranges of offsets, and times that go with offsets: values that collectors hand to the checkpoints. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Span(NamedTuple):
    """A range of offsets of one partition: the first, and the one after the last."""

    begin: int
    end: int


class CheckpointRange(NamedTuple):
    """The checkpoints of one partition, of which each bucket has one: the lowest and the highest."""

    lowest: int
    highest: int


class Moment(NamedTuple):
    """The end offset of a partition at a time in ms since 1970.

    A store that has everything before ``offset`` has everything that the broker had acknowledged by then.
    """

    offset: int
    at_ms: int


class Reached(NamedTuple):
    """By partition, the latest moment whose offset is reached.

    ``partitions`` is the number of partitions of the topic at ``asked_ms``. No moment is later than that.
    """

    partitions: int
    asked_ms: int
    moments: Mapping[int, Moment]
