"""Answers that a diagnosis could not get. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

#: Kinds of :class:`Unknown` where the server answers, but not this question.
UNTOLD = frozenset({"denied", "unsupported", "noperm"})


@dataclass(frozen=True, slots=True)
class Unknown:
    """An answer that could not be got, and why.

    ``kind`` is one of ``unavailable``, ``timeout``, ``denied``, ``unsupported``, ``incompatible``, ``refused``,
    ``settings``, ``missing``, or a kind of :class:`replog.errors.StoreUnavailable`.
    """

    kind: str
    message: str

    @property
    def untold(self) -> bool:
        """Whether the server answers other questions, and only this one not."""
        return self.kind in UNTOLD
