"""Limits of reads, changed by their names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from replog.store.read.reader import READ_LIMITS, ReadLimits

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_limits(changed: Mapping[str, float], limits: ReadLimits = READ_LIMITS) -> ReadLimits:
    """``limits`` with other values; names are paths of attributes, as ``search.rank.near``."""
    for name, value in changed.items():
        limits = _replaced(limits, name.split("."), value)
    return limits


def _replaced(limits: Any, path: list[str], value: float) -> Any:
    first, *rest = path
    return replace(limits, **{first: _replaced(getattr(limits, first), rest, value) if rest else value})
