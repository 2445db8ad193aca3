"""CPU time that a collector takes for an event without tracing, and with it.

``python -m tests.benchmarks.tracing [--before PYTHON]``: PYTHON is that of another checkout, which is measured beside
this one. Versions take turns, pass by pass, each in a process of its own; they merge the same events into one Redis.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from replog.settings import TracingSettings, load
from replog.tracing.opening import opened_tracer
from replog.tracing.reports import LibraryReport
from replog_collector.pipeline.batch_tracing import UNTRACED, BatchTracing
from replog_collector.pipeline.decoding import Decoded
from tests.benchmarks.servers import start_redis
from tests.benchmarks.traced_batches import BATCH, Message, batches
from tests.support.otlp_receiver import receiving_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Passes of each version; the first warms it up.
ROUNDS = 15
#: Tries of the tracing of one batch.
TRIES = 300
MEASURED = Path(__file__).with_name("traced_batches.py")


def main() -> None:
    """Measure, and print a line a variant."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--before", help="the Python of another checkout")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replog-bench-")))
        redis = start_redis(stack, folder / "redis")
        endpoint = stack.enter_context(receiving_traces()).endpoint
        for name, least_us in _batches(endpoint).items():
            print(f"tracing of a batch of {BATCH}, {name}: {least_us:.0f} us")  # noqa: T201
        variants = {
            **({"before": [options.before]} if options.before else {}),
            "off": [sys.executable],
            "on, 1 % recorded": [sys.executable, endpoint],
        }
        figures: dict[str, list[float]] = {name: [] for name in variants}
        running = {
            name: stack.enter_context(_started([python, str(MEASURED), redis.url, name[:2], *rest], folder))
            for name, (python, *rest) in variants.items()
        }
        for number in range(ROUNDS):
            for name in sorted(variants, reverse=bool(number % 2)):
                figures[name].append(_pass(running[name]))
            print({name: us[-1] for name, us in figures.items()}, flush=True)  # noqa: T201 - it takes minutes
        for name, us in figures.items():
            print(f"{name:20} us an event: least {min(us):.2f}, median {statistics.median(us):.2f}")  # noqa: T201


def _batches(endpoint: str) -> dict[str, float]:
    """CPU time that tracing takes of a batch, without the thread that sends spans: the least of many tries."""
    settings = load(TracingSettings, otlp_endpoint=endpoint, trace_ratio=0.01)
    with opened_tracer(settings, service="bench", report=LibraryReport()) as tracer:
        on = BatchTracing(tracer, topic="events", group="bench")
        return {
            "off": _least_us(UNTRACED, batches(recorded=False)[0]),
            "on, none recorded": _least_us(on, batches(recorded=False)[0]),
            "on, 1 % recorded": _least_us(on, batches(recorded=True)[0]),
        }


def _least_us(tracing: BatchTracing, messages: list[Message]) -> float:
    return min(_traced_us(tracing, messages) for _ in range(TRIES))


def _traced_us(tracing: BatchTracing, messages: list[Message]) -> float:
    began_s = time.thread_time()
    with tracing.batch(Decoded(messages, {})) as step:
        for name in ("merge", "publish outcomes", "commit"):
            with step(name):
                pass
    return (time.thread_time() - began_s) * 1e6


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        assert process.stdin
        process.stdin.close()


def _pass(process: subprocess.Popen[str]) -> float:
    """Have a process measure once more."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


if __name__ == "__main__":
    main()
