"""The progress of one watched record, as a view with bars and as a line. Pure: times are passed in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from replog_cli.display import formatting
from replog_cli.display.estimate import Estimate
from replog_cli.display.tables import done_of, status

if TYPE_CHECKING:
    from rich.console import RenderableType

_PERCENT = 100


class RecordProgress:
    """The newest state of a record, its rates, and the trouble with the connection if there is any."""

    def __init__(self, data: dict[str, Any], now: datetime) -> None:
        started_s = formatting.parse_time(data["record"]["startTime"]).timestamp()
        self._details, self._bytes = Estimate(started_s), Estimate(started_s)
        self.trouble: str | None = None
        self.update(data, now)

    def update(self, data: dict[str, Any], now: datetime) -> None:
        """Take over a state of the stream, received at ``now``."""
        self.record: dict[str, Any] = data["record"]
        self.overview: dict[str, Any] = data["overview"]
        self.trouble = None
        self._details.observe(now.timestamp(), self._done)
        self._bytes.observe(now.timestamp(), self._replicated_bytes)

    @property
    def running(self) -> bool:
        """True while the record is RUNNING."""
        return bool(self.record["status"] == "RUNNING")

    def expected_end(self, now: datetime) -> datetime | None:
        """The time at which all is done at the present rate, by details or else by bytes; None if nothing says so."""
        if not self.running:
            return None
        remaining_s = self._remaining_s(now.timestamp())
        return None if remaining_s is None else now + timedelta(seconds=remaining_s)

    def line(self, now: datetime) -> str:
        """The state on one line, for a log."""
        parts = [
            f"{self.record['status']}{' stale' if self.record['stale'] else ''}",
            f"{done_of(self.overview)} details",
        ]
        if self._share is not None:
            parts[1] += f" ({self._share:.0%})"
        return ", ".join([*parts, *self._counts(), *self._rates(now), *self._end(now)])

    def view(self, now: datetime, width: int) -> RenderableType:
        """The state with bars, in at most ``width`` columns."""
        lines: list[RenderableType] = [self._heading(now), self._bars(now, width)]
        if rest := [*self._counts(), *self._end(now)]:
            lines.append(Text(", ".join(rest)))
        if self.record["errorReason"]:
            lines.append(Text(formatting.plain(self.record["errorReason"]), formatting.STATUS_STYLES["FAILED"]))
        if self.trouble:
            lines.append(Text(formatting.plain(self.trouble), formatting.STALE_STYLE))
        return Group(*lines)

    @property
    def _done(self) -> int:
        return int(self.overview["success"] + self.overview["failed"])

    @property
    def _replicated_bytes(self) -> int:
        # One source from first to last: the two need not agree while the record runs.
        if self.record["totalBytes"] is None:
            return int(self.overview["totalSize"])
        return int(self.record["replicatedBytes"] or 0)

    @property
    def _share(self) -> float | None:
        expected = self.overview["expected"]
        return min(1.0, self._done / expected) if expected else None

    def _remaining_s(self, now_s: float) -> float | None:
        if (expected := self.overview["expected"]) is not None:
            return self._details.remaining_s(now_s, max(expected, self.overview["total"]))
        if (total := self.record["totalBytes"]) is not None:
            return self._bytes.remaining_s(now_s, total)
        return None

    def _heading(self, now: datetime) -> Text:
        record = self.record
        started = formatting.clock(formatting.parse_time(record["startTime"]), now)
        took = formatting.ran_for(record["startTime"], record["endTime"], now)
        text = Text(
            f"{formatting.plain(record['taskKey'])}  {formatting.plain(record['id'])}\n", "bold", overflow="fold"
        )
        return text.append_text(status(record)).append(f", started {started}, took {took}", "not bold")

    def _bars(self, now: datetime, width: int) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column()
        table.add_column(ratio=1)
        table.add_column(justify="right", overflow="fold")
        bar_width = max(10, width // 3)
        total = self.overview["expected"]
        table.add_row("details", self._bar(self._done, total, bar_width), self._details_text(now))
        moved, bytes_total = self._replicated_bytes, self.record["totalBytes"]
        if moved or bytes_total:
            table.add_row("bytes", self._bar(moved, bytes_total, bar_width), self._bytes_text(now))
        return table

    def _bar(self, done: int, total: int | None, width: int) -> RenderableType:
        if not total:
            return Text("")
        # As a share: rich calculates with floats, and sums of bytes may be larger than these hold.
        return ProgressBar(total=_PERCENT, completed=min(_PERCENT, _PERCENT * done / total), width=width)

    def _details_text(self, now: datetime) -> str:
        share = [] if self._share is None else [f"{self._share:.0%}"]
        return ", ".join([done_of(self.overview), *share, *self._rate(now)])

    def _bytes_text(self, now: datetime) -> str:
        total = self.record["totalBytes"]
        moved = formatting.size(self._replicated_bytes) + (f"/{formatting.size(total)}" if total else "")
        return ", ".join([moved, *self._byte_rate(now)])

    def _rates(self, now: datetime) -> list[str]:
        return [*self._rate(now), *self._byte_rate(now)]

    def _rate(self, now: datetime) -> list[str]:
        per_s = self._details.rate_per_s(now.timestamp()) if self.running else None
        return [] if per_s is None else [formatting.rate(per_s, "details")]

    def _byte_rate(self, now: datetime) -> list[str]:
        per_s = self._bytes.rate_per_s(now.timestamp()) if self.running else None
        return [] if per_s is None else [f"{formatting.size(per_s)}/s"]

    def _counts(self) -> list[str]:
        shown = {name: self.overview[name] for name in ("failed", "running", "skip", "conflict")}
        words = {"skip": "skipped", "conflict": "with a conflict"}
        return [f"{formatting.number(value)} {words.get(name, name)}" for name, value in shown.items() if value]

    def _end(self, now: datetime) -> list[str]:
        end = self.expected_end(now)
        if end is None:
            return []
        return [f"expected end {formatting.clock(end, now)} (in {formatting.duration((end - now).total_seconds())})"]
