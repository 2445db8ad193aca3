"""The ``replog`` command: its verbs, and what their errors end it with."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from replog.errors import BrokerRefused, FatalError, RecoverableError, SettingsError
from replog_cli.lazy_commands import add_command

app = typer.Typer(
    help="Execution records of repository replication: on your own machine, and from any query service.",
    epilog="Commands that read ask the query service at REPLOG_API_URL, with the token in REPLOG_API_TOKEN.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

#: The commands, which are functions in modules of the same name: the first line of the help, and an example, its last.
_COMMANDS = (
    (
        "up",
        "Run the whole system here: an embedded broker and Redis, one collector, one query service.",
        "replog up --demo",
    ),
    (
        "ls",
        "List tasks, the last active first, each with its latest record; or the records of one task, newest first.",
        "replog ls --status FAILED",
    ),
    (
        "show",
        "Show a record: its state, what it waits for, its clusters, reasons of failures, and the details that match.",
        "replog show 609b573d53ccce752bf9b860 --failed --cluster dev",
    ),
    (
        "watch",
        "Watch a record until it ends: bars on a terminal, lines elsewhere.",
        "replog watch npm-nightly --exit-status && echo replicated",
    ),
    (
        "export",
        "Export the details of a record that match, newest first, as CSV or as a JSON object a line.",
        "replog export 609b573d53ccce752bf9b860 --failed --output failed.csv",
    ),
    (
        "publish",
        "Publish events to the broker that REPLOG_KAFKA_BOOTSTRAP_SERVERS names.",
        "replog publish events.jsonl",
    ),
    (
        "notify",
        "Post each outcome on REPLOG_KAFKA_OUTCOMES_TOPIC to a webhook, at least once, until it is stopped.",
        "replog notify --url https://hooks.example/replog --only FAILED --task team-a/",
    ),
    (
        "doctor",
        "Check Kafka, Redis, rights, the group, the query service, clocks and settings; say what to do.",
        "replog doctor --json | jq -r '.checks[] | select(.verdict != \"pass\") | .found'",
    ),
    (
        "lag",
        "Show how far the collectors are behind: members, offsets and lag by partition, and the oldest unread event.",
        "replog lag --json | jq .lag",
    ),
    (
        "forget",
        "Forget records, with their details and all that is known of them up to now.",
        "replog forget --record 609b573d53ccce752bf9b860 --execute",
    ),
    (
        "verify",
        "Compare the store with the topic, or with another store, and with its own indexes, sums and lists.",
        "replog verify || replog verify --repair",
    ),
    (
        "rebuild",
        "Fill a second store from the topic while the live one serves, compare the two, and say what to set.",
        "replog rebuild --into '#replog2'",
    ),
    (
        "copy",
        "Merge all records of a store into another store, or write them to a file, or merge a file into a store.",
        "replog copy --to redis+cluster://redis-a:6379,redis-b:6379#replog",
    ),
    (
        "history",
        "List the events of a record as the topic has them, with what each changed; or show the record as it was.",
        "replog history 609b573d53ccce752bf9b860 --at 2h",
    ),
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes it
    if wanted:
        typer.echo(f"replog {version('replog')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself."""


for _name, _summary, _example in _COMMANDS:
    add_command(app, _name, f"replog_cli.{_name}:{_name}", _summary, epilog=f"Example: {_example}")
add_command(
    app,
    "bench",
    "replog_cli.bench:bench",
    "Measure side by side with the alternatives (--quick: two minutes), or run one benchmark.",
    epilog="Example: replog bench collect --kafka embedded",
    # Its options are those of another program.
    context_settings={"ignore_unknown_options": True},
)
add_command(
    app,
    "dlq",
    "replog_cli.dlq.app:app",
    "See dead letters with their reasons, publish their events again, delete them.",
)


def main() -> None:
    """Run the command; exit code 2 for a wrong setting, 1 for any other failure, each with one line."""
    try:
        app()
    except SettingsError as error:
        _end(error, 2)
    except (FatalError, RecoverableError, BrokerRefused) as error:
        _end(error, 1)


def _end(error: Exception, code: int) -> None:
    typer.echo(str(error), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
