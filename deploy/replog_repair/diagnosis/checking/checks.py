"""A check of a diagnosis: its name, its verdict, what was found, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog_repair.diagnosis.unknown import Unknown

Verdict: TypeAlias = Literal["pass", "warn", "fail"]

#: Verdicts, the worst last.
VERDICTS: tuple[Verdict, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check. ``advice`` says what to do; it is empty for a pass."""

    #: ``kafka``, ``redis``, ``api`` or ``settings``.
    area: str
    #: Stable name, unique in its area.
    name: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """Makes the checks of one area."""

    name: str

    def passed(self, name: str, found: str) -> Check:
        """A check that found nothing wrong."""
        return Check(self.name, name, "pass", found)

    def warned(self, name: str, found: str, advice: str) -> Check:
        """A check that found something that will hurt one day."""
        return Check(self.name, name, "warn", found, advice)

    def failed(self, name: str, found: str, advice: str) -> Check:
        """A check that found something that does not work."""
        return Check(self.name, name, "fail", found, advice)

    def untold(self, name: str, unknown: Unknown, advice: str) -> Check:
        """A check that could not be made: a warning if the server answers everything but this, else a failure."""
        if unknown.untold:
            return self.warned(name, f"could not be determined: {unknown.message}", advice)
        return self.failed(name, unknown.message, advice)


KAFKA = Area("kafka")


def worst(checks: Iterable[Check]) -> Verdict:
    """The worst verdict of ``checks``."""
    return max((check.verdict for check in checks), key=VERDICTS.index, default="pass")
