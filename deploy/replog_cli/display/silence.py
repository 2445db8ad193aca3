"""Sentences about what a running record waits for. Pure: times are passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from replog_cli.display import formatting

if TYPE_CHECKING:
    from datetime import datetime


def summary(silent: dict[str, Any], now: datetime) -> Text:
    """Since when nothing has come, how many details run, and how many of those expected were never seen."""
    text = Text(_since(silent, now))
    text.append(f" {_running(silent)} {_missing(silent)}")
    return text


def _since(silent: dict[str, Any], now: datetime) -> str:
    if silent["lastActivityTime"] is None:
        return "No event has come."
    last = formatting.parse_time(silent["lastActivityTime"])
    ago_s = (now - last).total_seconds()
    return f"No event for {formatting.duration(ago_s)}, since {formatting.clock(last, now)}."


def _running(silent: dict[str, Any]) -> str:
    running = silent["running"]
    if not running:
        return "No detail is running: every detail that began has ended."
    return f"{formatting.number(running)} {'detail is' if running == 1 else 'details are'} running."


def _missing(silent: dict[str, Any]) -> str:
    expected, missing = silent["expected"], silent["missing"]
    if expected is None:
        return "The worker did not say how many there will be."
    if missing:
        return f"Of {formatting.number(expected)} expected details {formatting.number(missing)} never began."
    if not silent["running"]:
        return "All expected details have ended: only the end of the record is missing."
    return f"All {formatting.number(expected)} expected details have begun."
