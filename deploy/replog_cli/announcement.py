"""The output of ``replog up`` once every process listens."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from replog_local.catalogue import TASKS

if TYPE_CHECKING:
    from rich.console import Console

    from replog_local.stack import Addresses, Plan

#: The last line printed. A program that starts the stack waits for it.
READY = "Ready. Ctrl-C stops everything in order."


def announce(console: Console, plan: Plan, addresses: Addresses) -> None:
    """Print the address of each part, and commands to try first."""
    console.print(_table(plan, addresses))
    for line in _first_steps(plan, addresses):
        # Users copy these commands, so they have no wrapping, styling or markup.
        console.print(line, soft_wrap=True, highlight=False, markup=False)


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


def _first_steps(plan: Plan, addresses: Addresses) -> list[str]:
    lines = [
        "The embedded broker keeps about the last 5 MB a partition, in memory only; records stay in Redis.",
        "",
        "Publish events, one JSON object a line:",
        f"  REPLOG_KAFKA_BOOTSTRAP_SERVERS={addresses.kafka} {_this_command()} publish FILE",
        f"  kcat -P -b {addresses.kafka} -t {addresses.topic} -k RECORD_ID -l FILE",
    ]
    if plan.demo:
        url = f"{addresses.api_url}/replication/api/task/record/page/{TASKS[0].key}?pageNumber=1&pageSize=5"
        lines += ["Ask for what the simulated workers do:", f"  curl -s '{url}'"]
    return [*lines, "", READY]
