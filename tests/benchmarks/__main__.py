"""Run the benchmarks and print tables, as ``replog bench``, ``make bench`` or ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import uvloop
from rich.console import Console
from rich.table import Table

from replog.settings import mask_url
from replog_collector.main import GC_THRESHOLD
from tests.benchmarks import (
    browser,
    calls,
    collect,
    dashboards,
    decode,
    page,
    polling,
    rows,
    scale,
    side_by_side,
    soak,
    store,
    store_filters,
    store_many_tasks,
    verifying,
)
from tests.benchmarks.asking import ORDER, shown_ms
from tests.benchmarks.machine import description
from tests.benchmarks.servers import SERVERS_CORE, alone, broker_with, given_redis, pid_of, start_redis
from tests.benchmarks.store_table import table_of
from tests.support.services import ServiceUnavailableError
from tests.support.services.redis import server_binary, version_of
from tests.support.services.redis_cluster import start_cluster

if TYPE_CHECKING:
    from tests.benchmarks.load import Load
    from tests.benchmarks.postgres import Postgres
    from tests.support.services.kafka import Broker

# Tables are wide: what is no terminal takes them whole.
console = Console(width=None if sys.stdout.isatty() else 180)


def main() -> None:
    """Measure on given servers, or on those that are started for it, and print.

    Without a name, what users notice is measured side by side with the alternatives.
    """
    parser = _parser()
    options = parser.parse_args()
    if options.what == "store" and options.details < store.LEAST:
        parser.error(f"--details: at least {store.LEAST:,}")
    if options.what == "store":
        # This program is what is measured.
        os.sched_setaffinity(0, {1 - SERVERS_CORE})
        store.run(
            console,
            details=options.details,
            with_postgres=not options.skip_postgres,
            as_markdown=options.markdown,
        )
        return
    if options.what == "decode":
        console.print(_decoding(options.records, options.details))
        return
    if options.what == "rows":
        console.print(_rendering(options.records, options.details))
        return
    if options.what == "scale":
        _scale(options)
        return
    # This program asks and looks; it stays beside the servers, away from what is measured.
    os.sched_setaffinity(0, {SERVERS_CORE})
    console.print(description())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replog-bench-")))
        prefix = f"replog-bench-{uuid4().hex[:8]}"
        redis_url = _redis(stack, folder, options.redis, prefix)
        table = _on_redis(redis_url, prefix, options, folder, stack)
        if table is not None:
            console.print(table)
            return
        if options.what == "page":
            console.print(_pages(redis_url, f"{prefix}.pages", options.records, options.details))
            return
        broker = broker_with(stack, folder / "kafka", options.kafka, prefix)
        console.print(_on_kafka(broker, redis_url, prefix, options, stack))


def _on_kafka(broker: Broker, redis_url: str, prefix: str, options: argparse.Namespace, stack: ExitStack) -> Table:
    """The table of a benchmark that needs a broker, or of all side by side."""
    if options.what == "verify":
        return _verifying(broker, redis_url, prefix, options.records, options.details)
    if options.what == "collect":
        return _collecting(broker, redis_url, prefix, options.records, options.details)
    postgres = None if options.skip_postgres else _postgres(stack)
    sizes = side_by_side.QUICK if options.quick else side_by_side.Sizes()
    servers = side_by_side.Servers(broker, redis_url, prefix, postgres)
    return _compared(side_by_side.run(servers, sizes, console.log))


def _postgres(stack: ExitStack) -> Postgres | None:
    """PostgreSQL, which ends with ``stack``; None, and a line that says so, where it is not installed."""
    # Its driver is wanted by few benchmarks.
    from tests.benchmarks.postgres import Postgres  # noqa: PLC0415

    try:
        return stack.enter_context(Postgres())
    except ServiceUnavailableError as missing:
        console.print(f"PostgreSQL is left out: {missing}")
        return None


def _redis(stack: ExitStack, folder: Path, given: str | None, prefix: str) -> str:
    """The URL of the Redis that the options name, or of one that is started."""
    if given:
        console.print(f"Redis {version_of(given)} at {mask_url(given)}, under {prefix}")
        return given_redis(stack, given, prefix)
    redis = start_redis(stack, folder / "redis")
    console.print(f"Redis {version_of(redis.url)}, append-only file on, on core {SERVERS_CORE}")
    return redis.url


def _on_redis(redis_url: str, prefix: str, options: argparse.Namespace, folder: Path, stack: ExitStack) -> Table | None:
    """The one table of a benchmark that needs Redis alone; None for the others."""
    table: Table | None = None
    match options.what:
        case "polling":
            table = _polling(redis_url, f"{prefix}.polling")
        case "calls":
            table = _called(redis_url)
        case "filters":
            table = _filtered(redis_url, options.details)
        case "tasks":
            table = _listed(redis_url, options.tasks)
        case "browser":
            table = _seen(redis_url, options.details, options.tasks)
        case "dashboards":
            real_time = "in the real-time class" if alone(redis_url) else "in the class of everything else"
            console.print(f"Redis is {real_time}; load average {os.getloadavg()[0]:.1f}")
            table = _dashboards(dashboards.run(redis_url, "dashboards", options.details))
        case "soak":
            table = _soaked(soak.run(redis_url, f"{prefix}.soak", folder, stack))
    return table


def _scale(options: argparse.Namespace) -> None:
    """On servers and cores that nothing is kept away from."""
    console.print(description())
    topic = f"replog-bench-{uuid4().hex[:8]}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replog-bench-")))
        redis = start_redis(stack, folder / "redis", core=None)
        cluster = start_cluster(server_binary(None), folder / "cluster")
        stack.callback(cluster.close)
        broker = broker_with(stack, folder / "kafka", options.kafka, topic, core=None)
        stream = scale.Stream(broker, topic, options.records, options.details)
        table = Table(title=f"us of CPU time for a unit of work; {version_of(redis.url)}, {broker.version}")
        for column in ("a unit", "processes", "masters of Redis", "units", "process", "Redis", "Kafka", "all"):
            table.add_column(column, justify="left" if column == "a unit" else "right")
        for cost in scale.run(stream, [redis.url, cluster.url], console.log):
            kafka_us = "-" if cost.broker_us is None else f"{cost.broker_us:,.1f}"
            of_unit = (f"{cost.process_us:,.1f}", f"{cost.redis_us:,.1f}", kafka_us, f"{cost.total_us:,.1f}")
            table.add_row(cost.what, str(cost.processes), str(cost.masters), f"{cost.units:,}", *of_unit)
        console.print(table)


def _parser() -> argparse.ArgumentParser:
    stream = argparse.ArgumentParser(add_help=False)
    stream.add_argument("--records", type=int, default=40, help="runs in the simulated stream")
    stream.add_argument("--details", type=int, default=1500, help="details a run")
    given = argparse.ArgumentParser(add_help=False)
    given.add_argument("--redis", metavar="URL", help="use this Redis, under a prefix that is removed at the end")
    on_kafka = argparse.ArgumentParser(add_help=False)
    on_kafka.add_argument("--kafka", metavar="BROKER", help="use this broker: host:port, maven, docker or embedded")
    all_of_both = [stream, given, on_kafka]
    without_postgres = argparse.ArgumentParser(add_help=False)
    without_postgres.add_argument("--skip-postgres", action="store_true", help="leave PostgreSQL out")
    beside = [given, on_kafka, without_postgres]
    parser = argparse.ArgumentParser(prog="replog bench", description=main.__doc__, parents=beside)
    parser.add_argument("--quick", action="store_true", help="two minutes, with less of everything")
    parser.set_defaults(redis=None, kafka=None)
    names = parser.add_subparsers(dest="what", metavar="NAME")
    in_browser = names.add_parser("browser", help="how soon the page's rows are seen in a browser")
    in_browser.add_argument("--details", type=int, default=1_000_000, help="details of the record")
    in_browser.add_argument("--tasks", type=int, default=100_000, help="tasks beside it")
    names.add_parser("calls", help="CPU time of calls of Redis, beside the driver's own client")
    names.add_parser("collect", parents=all_of_both, help="events a second that one collector applies")
    at_size = argparse.ArgumentParser(add_help=False)
    at_size.add_argument("--details", type=int, default=1_000_000, help="details of the largest record")
    names.add_parser("dashboards", parents=[at_size], help="counts, reasons, exports, runs and silent records at size")
    names.add_parser("decode", parents=[stream], help="CPU time of an event before the store is asked")
    names.add_parser("filters", parents=[at_size], help="filters of details by path, version, artifact and package")
    names.add_parser("page", parents=[stream, given], help="pages a second that one worker answers")
    names.add_parser("polling", parents=[given], help="what pollers of one running record cost Redis")
    names.add_parser("rows", parents=[stream], help="CPU time of a row behind the store's reply")
    names.add_parser("scale", parents=[stream, on_kafka], help="CPU time of an event and a page as processes are added")
    names.add_parser("soak", parents=[given], help="a minute of pollers, with query services restarted behind them")
    in_tasks = names.add_parser("tasks", help="pages of tasks, and the latest records of some")
    in_tasks.add_argument("--tasks", type=int, default=100_000, help="tasks with a record each")
    names.add_parser("verify", parents=all_of_both, help="time and memory of verifying a store with its topic")
    whole = names.add_parser("store", parents=[at_size, without_postgres], help="the store at size")
    whole.add_argument("--markdown", action="store_true", help="print the tables as Markdown too")
    return parser


def _compared(figures: list[side_by_side.Row]) -> Table:
    table = Table(title="what users notice: rates, and medians of times; x is how many times as fast ours is")
    names = ("what", "ours", "simplest", "x", "PostgreSQL", "x", "limit", "x")
    for column in names:
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in figures:
        others = [(_shown(row, other), _times(row, other)) for other in (row.simplest, row.postgres, row.limit)]
        table.add_row(row.what, _shown(row, row.ours), *(cell for both in others for cell in both))
    return table


def _shown(row: side_by_side.Row, figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}/s" if row.unit == "/s" else f"{shown_ms(figure)} ms"


def _times(row: side_by_side.Row, other: float | None) -> str:
    times = row.times_as_fast(other)
    return "" if times is None else f"{times:,.0f}" if times >= 100 else f"{times:.2g}"


def _dashboards(figures: list[dashboards.Figure]) -> Table:
    table = Table(title=f"until the first row, or the answer: {ORDER}; {dashboards.TIMES} requests each")
    for column in ("what", "goal", "time", "met", "longest call of Redis, ms"):
        table.add_column(column)
    for what, times, longest in figures:
        met = "yes" if times.p99 <= dashboards.GOAL_MS else "NO"
        table.add_row(what, shown_ms(dashboards.GOAL_MS), str(times), met, longest)
    return table


def _polling(redis_url: str, prefix: str) -> Table:
    table = Table(
        title=f"what {polling.POLLERS} pollers, each every {polling.EVERY_S:.0f} s, cost Redis in "
        f"{polling.SECONDS:.0f} s; the record changes every {polling.CHANGES_EVERY_S:.0f} s"
    )
    for column in (
        "what",
        "polls",
        "304",
        "commands",
        "ms in commands",
        "ms of the process",
        "of the cost without",
    ):
        table.add_column(column, justify="left" if column == "what" else "right")
    for path, (without, with_tags) in polling.run(redis_url, prefix).items():
        for name, cost in ((path, without), ("  with If-None-Match", with_tags)):
            share = f"{cost.command_ms / without.command_ms:.2f} / {cost.process_ms / without.process_ms:.2f}"
            shown = (f"{cost.polls:,}", f"{cost.not_modified:,}", f"{cost.commands:,}")
            table.add_row(name, *shown, f"{cost.command_ms:,.1f}", f"{cost.process_ms:,.0f}", share)
    return table


def _seen(redis_url: str, details: int, tasks: int) -> Table:
    title = f"how soon the page's rows are seen: a record of {details:,} details, {tasks:,} tasks"
    table = Table(title=f"{title}; {browser.TIMES} times each, goal {browser.GOAL_MS:,} ms")
    for column in ("view", "median ms", "worst ms", "rows", "elements"):
        table.add_column(column, justify="left" if column == "view" else "right")
    for name, seen in browser.run(redis_url, details=details, tasks=tasks).items():
        table.add_row(name, f"{seen.median_ms:,.0f}", f"{seen.worst_ms:,.0f}", str(seen.rows), f"{seen.elements:,}")
    return table


def _soaked(outcome: soak.Outcome) -> Table:
    table = Table(
        "what", "figure", title=f"{soak.POLLERS} pollers, each every {soak.EVERY_S:.0f} s for {soak.SECONDS:.0f} s"
    )
    early, late = outcome.rss_mb
    for what, figure in {
        "answers, of these 304": f"{outcome.answers:,}, {outcome.not_modified:,}",
        "wrong answers": str(len(outcome.wrong)),
        "questions that no service answered": str(outcome.turned_away),
        "restarts of one of two services": str(outcome.restarts),
        "median / p99, ms": f"{outcome.median_ms:.1f} / {outcome.p99_ms:.1f}",
        f"memory of the other after {soak.SETTLED_S:.0f} s / at the end, MB": f"{early:.1f} / {late:.1f}",
    }.items():
        table.add_row(what, figure)
    for wrong in outcome.wrong[:10]:
        table.add_row("wrong", wrong)
    return table


def _collecting(broker: Broker, redis_url: str, topic: str, records: int, details: int) -> Table:
    total = collect.publish(broker.address, topic, records=records, details_per_record=details)
    ours = collect.ours(broker.address, topic, redis_url, f"{topic}.collected", total).per_second
    plain = collect.plain(broker.address, topic, redis_url, f"{topic}.plain", total).per_second
    table = Table(title=f"events/s applied by one collector, {total} events, {broker.version}")
    for column in ("what", "events/s", "goal"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("replog-collector", f"{ours:,.0f}", "40,000")
    table.add_row("hand-made consumer, one HSET and ZADD an event", f"{plain:,.0f}", "")
    return table


def _verifying(broker: Broker, redis_url: str, topic: str, records: int, details: int) -> Table:
    total = collect.publish(broker.address, topic, records=records, details_per_record=details)
    collected = collect.ours(broker.address, topic, redis_url, topic, total)
    verified = verifying.run(broker.address, topic, redis_url, topic)
    table = Table("what", "figure", title=f"replog verify, {total:,} events, {broker.version}")
    for what, figure in {
        "result, exit code": f"{verified.answer['result']}, {verified.code}",
        "records, details compared": f"{verified.answer['records']:,}, {verified.answer['details']:,}",
        "time, s": f"{verified.seconds:,.0f}",
        "events a second": f"{total / verified.seconds:,.0f}",
        "CPU time, s": f"{verified.cpu_s:,.0f}",
        "peak memory, MiB": f"{verified.peak_mb:,.0f}",
        "collecting the same events, s": f"{collected.seconds:,.0f}",
    }.items():
        table.add_row(what, figure)
    return table


def _called(redis_url: str) -> Table:
    # This program is what is measured.
    os.sched_setaffinity(0, {1 - SERVERS_CORE})
    table = Table(title="us of CPU time of the process for a call of Redis")
    for column in ("calls in one go", "the store's connection", "the driver's client"):
        table.add_column(column, justify="right")
    for size, (ours, drivers) in calls.costs(redis_url).items():
        table.add_row(str(size), f"{ours:.1f}", f"{drivers:.1f}")
    return table


def _filtered(redis_url: str, details: int) -> Table:
    _measure_here()
    section, recorder = uvloop.run(store_filters.read(redis_url, pid_of(redis_url), details, console.log))
    console.print(f"calls of Redis: {recorder.calls}")
    return table_of(section)


def _measure_here() -> None:
    """This program is what is measured: on the core of the services, and as these do with garbage."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    os.sched_setaffinity(0, {1 - SERVERS_CORE})


def _listed(redis_url: str, tasks: int) -> Table:
    _measure_here()
    section, _ = uvloop.run(store_many_tasks.read(redis_url, pid_of(redis_url), tasks))
    return table_of(section)


def _decoding(records: int, details: int) -> Table:
    table = Table("an event is", "us of CPU time", title="from message bytes to folded registers")
    for stage, us in decode.costs(records, details).items():
        table.add_row(stage, f"{us:.2f}")
    return table


def _rendering(records: int, details: int) -> Table:
    table = Table("a row", "least", "median", title="us of CPU time for a row of the store's reply")
    for what, (least, middle) in rows.costs(records, details).items():
        table.add_row(what, f"{least:.2f}", f"{middle:.2f}")
    return table


def _pages(redis_url: str, prefix: str, records: int, details: int) -> Table:
    record_ids = page.fill(redis_url, prefix, records=records, details_per_record=details)
    window, first = "?pageNumber=3&pageSize=20", record_ids[0]
    numbers = range(1, details // page.ROWS)
    others = [f"/detail/page/{record_id}?pageNumber={n}&pageSize=20" for n in numbers for record_id in record_ids]
    in_task = range(1, page.TASK_RECORDS // page.ROWS)
    of_task = [f"/page/{page.TASK_KEY}?pageNumber={n}&pageSize=20" for n in in_task]
    one = [f"/detail/page/{first}{window}"]
    table = Table(title=f"requests/s answered by one worker, {records * details:,} details in {records} records")
    for column in ("a page of 20", "who answers", "requests/s", "median ms", "p99 ms", "goal"):
        table.add_column(column, justify="left" if column in {"a page of 20", "who answers"} else "right")
    questions = {"details": one, "details, another each time": others, "records, another each time": of_task}
    for what, paths in questions.items():
        ours = page.ours(redis_url, prefix, *(page.BASE + path for path in paths))
        bare = page.bare(redis_url, prefix, *paths)
        goal = max(2500.0, 0.8 * bare.per_second)
        _add_load(table, what, "replog-api", ours, f"{goal:,.0f}")
        _add_load(table, "", "bare Starlette, the same calls", bare)
    filtered = page.ours(redis_url, prefix, f"{page.BASE}{one[0]}&status=SUCCESS")
    _add_load(table, "details, by status", "replog-api", filtered)
    _add_load(table, "details", "FastAPI with response_model", page.plain(redis_url, prefix, *one))
    return table


def _add_load(table: Table, what: str, who: str, load: Load, goal: str = "") -> None:
    table.add_row(what, who, f"{load.per_second:,.0f}", f"{load.median_ms:.2f}", f"{load.p99_ms:.2f}", goal)


if __name__ == "__main__":
    main()
