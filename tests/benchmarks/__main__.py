"""Run the benchmarks and print a table: ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.benchmarks import collect, page
from tests.benchmarks.machine import description, pin
from tests.services import kafka_admin
from tests.services.kafka_maven import MavenBroker
from tests.services.redis import OwnRedis, version_of

if TYPE_CHECKING:
    from tests.services.process import ServerProcess

console = Console()


def main() -> None:
    """Start a broker and a Redis, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=main.__doc__)
    parser.add_argument("--records", type=int, default=40, help="runs in the simulated stream")
    parser.add_argument("--details", type=int, default=1500, help="details a run")
    options = parser.parse_args()
    # This program asks and looks; it stays beside the servers, away from what is measured.
    os.sched_setaffinity(0, {collect.SERVERS_CORE})
    console.print(description())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replog-bench-")))
        redis = _redis(stack, folder)
        console.print(_pages(redis.url, options.records, options.details))
        console.print(_collecting(stack, folder, redis.url, options.records, options.details))


def _redis(stack: ExitStack, folder: Path) -> OwnRedis:
    binary = shutil.which("redis-server")
    assert binary, "the benchmarks want redis-server on PATH"
    (folder / "redis").mkdir()
    redis = OwnRedis(Path(binary), folder / "redis")
    stack.callback(redis.close)
    redis.start()
    _pin(redis._process)
    console.print(f"Redis {version_of(redis.url)}, append-only file on, on core {collect.SERVERS_CORE}")
    return redis


def _collecting(stack: ExitStack, folder: Path, redis_url: str, records: int, details: int) -> Table:
    (folder / "kafka").mkdir()
    broker = MavenBroker(folder / "kafka", patient=True)
    stack.callback(broker.close)
    broker.start()
    _pin(broker._process)
    topic = "replog-bench"
    kafka_admin.create_topics(broker.address, [topic, f"{topic}.dlq"])
    total = collect.publish(broker.address, topic, records=records, details_per_record=details)
    ours = collect.ours(broker.address, topic, redis_url, "collected", total).per_second
    plain = collect.plain(broker.address, topic, redis_url, "plain", total).per_second
    table = Table(title=f"events/s applied by one collector, {total} events, {broker.version}")
    for column in ("what", "events/s", "goal"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("replog-collector", f"{ours:,.0f}", "40,000")
    table.add_row("hand-made consumer, one HSET and ZADD an event", f"{plain:,.0f}", "")
    return table


def _pages(redis_url: str, records: int, details: int) -> Table:
    record_ids = page.fill(redis_url, "pages", records=records, details_per_record=details)
    window = "?pageNumber=3&pageSize=20"
    one = f"{page.BASE}/detail/page/{record_ids[0]}{window}"
    many = [
        f"{page.BASE}/detail/page/{record_id}?pageNumber={number}&pageSize=20"
        for number in range(1, details // 20)
        for record_id in record_ids
    ]
    rows = {
        "a page of 20 details": (page.ours(redis_url, "pages", one), "2,500"),
        "another page each time": (page.ours(redis_url, "pages", *many), ""),
        "the first, filtered by status": (page.ours(redis_url, "pages", f"{one}&status=SUCCESS"), ""),
        "FastAPI with response_model, 20 details": (
            page.plain(redis_url, "pages", f"/detail/page/{record_ids[0]}{window}"),
            "",
        ),
    }
    table = Table(title=f"requests/s answered by one worker, {records * details:,} details in {records} records")
    for column in ("what", "requests/s", "median ms", "p99 ms", "goal"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, (load, goal) in rows.items():
        table.add_row(name, f"{load.per_second:,.0f}", f"{load.median_ms:.2f}", f"{load.p99_ms:.2f}", goal)
    return table


def _pin(server: ServerProcess) -> None:
    assert server._process
    pin(server._process.pid, collect.SERVERS_CORE)


if __name__ == "__main__":
    main()
