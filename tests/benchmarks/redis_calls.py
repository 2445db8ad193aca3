"""What Redis itself says about its calls: SLOWLOG, LATENCY and its histograms, of one stretch of a run."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from redis import Redis, ResponseError

from replog.store.client import scripts
from tests.benchmarks.waiting import Waiting

if TYPE_CHECKING:
    from types import TracebackType

#: Calls that Redis notes, and those that are counted.
NOTED_US, LONG_US = 2_000, 5_000
_ENTRIES = 1_000_000
_SCRIPTS = {script.sha: script.name for script in scripts.ALL}


class Calls(NamedTuple):
    """Calls of one stretch: of scripts, of all how many were long, and the longest, in ms, with its name.

    ``p99_ms`` is of the scripts' calls, None before Redis 7. ``pauses`` are other events that held Redis up, in ms;
    ``waited_ms`` is how long it waited for its core, which stands inside of calls too.
    """

    scripts: int
    long: int
    longest_ms: float
    longest: str
    p99_ms: float | None
    long_by_name: dict[str, int]
    pauses: dict[str, int]
    waited_ms: float

    @property
    def longest_of_all(self) -> str:
        """The longest call, for people; Redis notes no short ones."""
        return f"{self.longest_ms:.1f} {self.longest}" if self.longest else f"none over {NOTED_US // 1000}"

    def __str__(self) -> str:
        """For people."""
        p99 = "" if self.p99_ms is None else f", p99 {self.p99_ms:.2f} ms"
        longest = f"longest {self.longest_of_all}" if self.longest else self.longest_of_all
        text = f"{self.scripts:,} script calls{p99}; {self.long} calls over 5 ms; {longest}"
        long = ", ".join(f"{name} {count}" for name, count in self.long_by_name.items())
        waited = f"waited {self.waited_ms:,.0f} ms for its core"
        pauses = ", ".join(f"{name} {ms} ms" for name, ms in self.pauses.items())
        return "; ".join(
            filter(None, (text, f"long: {long}" if long else "", f"pauses: {pauses}" if pauses else "", waited))
        )


class CallRecorder:
    """Watches one Redis from ``with`` on; ``calls`` stands at its end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.calls: Calls

    def __enter__(self) -> Self:
        with Redis.from_url(self._url) as redis:
            redis.config_set("slowlog-log-slower-than", NOTED_US)
            redis.config_set("slowlog-max-len", _ENTRIES)
            redis.config_set("latency-monitor-threshold", LONG_US // 1000)
            with contextlib.suppress(ResponseError):  # before Redis 7
                redis.config_set("latency-tracking-info-percentiles", "50 99 99.9 100")
            self._waiting = Waiting(int(redis.info("server")["process_id"]))
            self._waited_s = self._waiting.seconds()
            redis.config_resetstat()
            redis.slowlog_reset()
            redis.latency_reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            with Redis.from_url(self._url, socket_timeout=60) as redis:
                self.calls = _taken(redis, self._waiting.seconds() - self._waited_s)


def _taken(redis: Redis, waited_s: float) -> Calls:
    statistics = redis.info("commandstats")
    # Before the log is read, for that is long itself.
    entries = [(entry["duration"], _name(entry["command"])) for entry in redis.slowlog_get(_ENTRIES)]
    # Forgetting what was noted before is long too, and nobody's but the recorder's.
    noted = [(duration, name) for duration, name in entries if name != "SLOWLOG"]
    percentiles = redis.info("latencystats").get("latency_percentiles_usec_evalsha", {})
    events = {_text(event[0]): int(event[3]) for event in redis.latency_latest()}
    longest_us, longest = max(noted, default=(0, ""))
    return Calls(
        waited_ms=waited_s * 1000,
        scripts=int(statistics.get("cmdstat_evalsha", {}).get("calls", 0)),
        long=sum(duration > LONG_US for duration, _ in noted),
        longest_ms=longest_us / 1000,
        longest=longest,
        p99_ms=float(percentiles["p99"]) / 1000 if "p99" in percentiles else None,
        long_by_name=dict(Counter(name for duration, name in noted if duration > LONG_US)),
        pauses={name: most for name, most in events.items() if name not in {"command", "fast-command"}},
    )


def _name(command: bytes) -> str:
    name, *rest = _text(command).split(" ", 2)
    return _SCRIPTS.get(rest[0], name) if rest else name


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
