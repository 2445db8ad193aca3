"""The ``replog`` command: its verbs, and what their errors end it with."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from replog.errors import BrokerRefused, FatalError, RecoverableError, SettingsError
from replog_cli.bench import bench
from replog_cli.copy import copy
from replog_cli.dlq.app import app as dlq
from replog_cli.doctor import doctor
from replog_cli.export import export
from replog_cli.forget import forget
from replog_cli.history import history
from replog_cli.lag import lag
from replog_cli.ls import ls
from replog_cli.notify import notify
from replog_cli.publish import publish
from replog_cli.rebuild import rebuild
from replog_cli.show import show
from replog_cli.up import up
from replog_cli.verify import verify
from replog_cli.watch import watch

app = typer.Typer(
    help="Execution records of repository replication: on your own machine, and from any query service.",
    epilog="Commands that read ask the query service at REPLOG_API_URL, with the token in REPLOG_API_TOKEN.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

#: The commands with an example of each, which ends its help.
_COMMANDS = (
    (up, "replog up --demo"),
    (ls, "replog ls --status FAILED"),
    (show, "replog show 609b573d53ccce752bf9b860 --failed --cluster dev"),
    (watch, "replog watch npm-nightly --exit-status && echo replicated"),
    (export, "replog export 609b573d53ccce752bf9b860 --failed --output failed.csv"),
    (publish, "replog publish events.jsonl"),
    (notify, "replog notify --url https://hooks.example/replog --only FAILED --task team-a/"),
    (doctor, "replog doctor --json | jq -r '.checks[] | select(.verdict != \"pass\") | .found'"),
    (lag, "replog lag --json | jq .lag"),
    (forget, "replog forget --record 609b573d53ccce752bf9b860 --execute"),
    (verify, "replog verify || replog verify --repair"),
    (rebuild, "replog rebuild --into '#replog2'"),
    (copy, "replog copy --to redis+cluster://redis-a:6379,redis-b:6379#replog"),
    (history, "replog history 609b573d53ccce752bf9b860 --at 2h"),
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


for _command, _example in _COMMANDS:
    app.command(epilog=f"Example: {_example}")(_command)
# Its options are those of another program.
app.command(epilog="Example: replog bench collect --kafka embedded", context_settings={"ignore_unknown_options": True})(
    bench
)
app.add_typer(dlq, name="dlq")


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
