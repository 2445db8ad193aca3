"""Fields of the hash ``applied``: a checkpoint each, named by consumer group, topic and partition. Pure."""

from __future__ import annotations

#: Most digits of an offset.
OFFSET_DIGITS = 19


def checkpoint_head(group: str, topic: str) -> str:
    """The first part of the fields of one group and topic; the partition follows."""
    return f"{group}:{topic}:"


def partition_of(field: bytes, head: str) -> int | None:
    """The partition of a field that begins with ``head``; None for the fields of others."""
    number = field.removeprefix(head.encode())
    return int(number) if len(number) < len(field) and number.isdigit() else None


def offset_of(value: bytes | None) -> int | None:
    """The offset of a stored checkpoint; None where there is none, or something else."""
    return int(value) if value and value.isdigit() and len(value) <= OFFSET_DIGITS else None
