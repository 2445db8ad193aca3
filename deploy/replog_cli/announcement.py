"""The output of ``replog up``: addresses once every process listens, a status line, and the end."""

from __future__ import annotations

import asyncio
import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from rich import box
from rich.table import Table
from rich.text import Text

from replog_cli.display import formatting
from replog_local import figures
from replog_local.catalogue import TASKS

if TYPE_CHECKING:
    from rich.console import Console

    from replog_local.addresses import Addresses
    from replog_local.figures import Figures
    from replog_local.stack import Plan

#: Seconds between two figures of the line that moves, and between two lines where there is no terminal.
MOVE_INTERVAL_S, LOG_INTERVAL_S = 1.0, 60.0
FIGURES_TIMEOUT_S = 2.0
#: The last line printed at the start. A program that starts the stack waits for it.
READY = "Ready. Ctrl-C stops everything in order."


class Announcement:
    """The output of one ``replog up``, on ``console``."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan

    def ready(self, addresses: Addresses) -> None:
        """Print the address of the page, then that of each part, and commands to try first."""
        page = Text("The page is at ", "bold").append(f"{addresses.api_url}/", "bold underline green")
        self._console.print(page, soft_wrap=True)
        self._console.print(_table(self._plan, addresses))
        for line in _first_steps(self._plan, addresses):
            self._print(line)

    async def follow(self, addresses: Addresses) -> None:
        """Keep a status line moving on a terminal; elsewhere, print it now and then. Runs until it is cancelled."""
        async with httpx.AsyncClient(timeout=FIGURES_TIMEOUT_S) as client:
            if self._console.is_terminal:
                await self._move(client, addresses)
            else:
                await self._log(client, addresses)

    def stopping(self) -> None:
        """Say that the stop has begun."""
        self._print("Stopping everything in order ...")

    def not_applied(self) -> None:
        """Say that some of the workers' last events are not applied."""
        self._print("The last events of the simulated workers were not applied in time: some runs stay RUNNING.")

    def stopped(self) -> None:
        """Say that all is stopped, and where the records are kept."""
        data = self._plan.data.root
        self._print(
            f"All is stopped. The records are kept in {data}; see them again: {_this_command()} up --data {data}"
        )

    async def _move(self, client: httpx.AsyncClient, addresses: Addresses) -> None:
        previous: Figures | None = None
        with self._console.status("counting events") as status:
            while True:
                with suppress(httpx.HTTPError):
                    current = await figures.read(client, addresses)
                    status.update(status_line(current, previous, MOVE_INTERVAL_S, datetime.now(UTC)))
                    previous = current
                await asyncio.sleep(MOVE_INTERVAL_S)

    async def _log(self, client: httpx.AsyncClient, addresses: Addresses) -> None:
        previous: Figures | None = None
        while True:
            await asyncio.sleep(LOG_INTERVAL_S)
            with suppress(httpx.HTTPError):
                current = await figures.read(client, addresses)
                if previous is None or current.events != previous.events:
                    self._print(status_line(current, previous, LOG_INTERVAL_S, datetime.now(UTC)))
                previous = current

    def _print(self, line: str) -> None:
        # Users copy these commands, so they have no wrapping, styling or markup.
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def status_line(current: Figures, previous: Figures | None, interval_s: float, now: datetime) -> str:
    """Events with their rate since ``previous``, records, and how fresh the answers are."""
    events = f"{formatting.number(current.events)} events"
    if previous is not None:
        events += f" ({formatting.number((current.events - previous.events) / interval_s)}/s)"
    records = f"{formatting.number(current.records)} records started"
    if current.as_of is None:
        return f"{events}, {records}"
    local = current.as_of.astimezone()
    behind_s = max(0.0, (now - current.as_of).total_seconds())
    return f"{events}, {records}, as of {local:%H:%M:%S} ({behind_s:.0f} s ago)"


def _this_command() -> str:
    # The command as the user can type it: `make` starts it from a folder that is not on PATH.
    return "replog" if shutil.which("replog") else sys.argv[0]


def _table(plan: Plan, addresses: Addresses) -> Table:
    table = Table(box=box.ASCII, show_header=False)
    rows = {
        "API": addresses.api_url,
        "OpenAPI": f"{addresses.api_url}/openapi.json",
        "API metrics": f"{addresses.api_url}/metrics",
        "collector metrics": f"{addresses.collector_url}/metrics",
        "Kafka": f"{addresses.kafka} (embedded)",
        "Redis": addresses.redis_url,
        "data, logs": str(plan.data.root),
    }
    for name, place in rows.items():
        table.add_row(name, place)
    return table


def _notify_environment(addresses: Addresses) -> str:
    return f"REPLOG_KAFKA_BOOTSTRAP_SERVERS={addresses.kafka} REPLOG_KAFKA_OUTCOMES_TOPIC={addresses.outcomes_topic}"


def _first_steps(plan: Plan, addresses: Addresses) -> list[str]:
    lines = [
        "The embedded broker keeps about the last 5 MB a partition, in memory only; records stay in Redis.",
        "",
        "Publish events, one JSON object a line:",
        f"  REPLOG_KAFKA_BOOTSTRAP_SERVERS={addresses.kafka} {_this_command()} publish FILE",
        f"  kcat -P -b {addresses.kafka} -t {addresses.topic} -k RECORD_ID -l FILE",
        "Post the end of each record to a webhook of yours:",
        f"  {_notify_environment(addresses)} {_this_command()} notify --url URL",
    ]
    if plan.demo:
        url = f"{addresses.api_url}/replication/api/task/record/page/{TASKS[0].key}?pageNumber=1&pageSize=5"
        lines += [
            "Ask for what the simulated workers do:",
            f"  curl -s '{url}'",
            "Watch one of their runs:",
            f"  REPLOG_API_URL={addresses.api_url} {_this_command()} watch {TASKS[0].key}",
        ]
    return [*lines, "", READY]
