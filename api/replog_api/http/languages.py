"""The languages of messages: English, and Chinese where the client prefers it. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

ENGLISH, CHINESE = "en", "zh"

_QUALITY = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.ASCII | re.IGNORECASE)


class Text(NamedTuple):
    """A message in both languages."""

    english: str
    chinese: str

    def in_language(self, language: str) -> str:
        """The message in :data:`ENGLISH` or :data:`CHINESE`."""
        return self.chinese if language == CHINESE else self.english

    def in_both(self) -> str:
        """The text in English and then in Chinese, for the documents."""
        return f"{self.english}\n\n{self.chinese}"


def preferred(accept_language: str) -> str:
    """The language that an ``Accept-Language`` header prefers; English where it names neither.

    The greater quality wins, of equal ones the first. ``*`` is English, as is whatever cannot be parsed.
    """
    best, best_quality = ENGLISH, 0.0
    for entry in accept_language.split(","):
        language_range, _, parameter = entry.partition(";")
        language = _language_of(language_range.strip().lower())
        quality = _quality_of(parameter.strip())
        if language and quality > best_quality:
            best, best_quality = language, quality
    return best


def _language_of(language_range: str) -> str | None:
    primary = language_range.partition("-")[0]
    if primary in {ENGLISH, CHINESE}:
        return primary
    return ENGLISH if primary == "*" else None


def _quality_of(parameter: str) -> float:
    if not parameter:
        return 1.0
    found = _QUALITY.fullmatch(parameter)
    return float(found[1]) if found else 0.0
