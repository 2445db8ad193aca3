"""The ``replog`` command."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from replog import Publisher
from replog.errors import FatalError, RecoverableError, SettingsError
from replog.settings import ApiSettings, load
from replog_cli import publish_lines
from replog_cli.announcement import announce
from replog_local import stack
from replog_local.places import DataFolder, check_free

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import BinaryIO

app = typer.Typer(
    help="Execution records of repository replication, on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    # A callback makes typer require a subcommand even if there is only one.
    pass


@app.command()
def up(
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Add simulated replication workers.")] = False,
    host: Annotated[
        str | None, typer.Option(help="Where the API listens; else REPLOG_API_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Its port, 0 for any free one; else REPLOG_API_PORT, else 8080."),
    ] = None,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where records and logs are kept.")] = Path("replog-data"),
) -> None:
    """Run the whole system here: an embedded broker and Redis, one collector, one query service.

    Needs nothing else installed. Ctrl-C stops it all in order.

    A second run on the same folder finds its records again.
    """
    folder = DataFolder(data)
    with folder.locked():
        plan = _plan(folder, host, port, demo=demo)
        asyncio.run(stack.run(plan, partial(announce, Console(), plan)))


def _plan(folder: DataFolder, host: str | None, port: int | None, *, demo: bool) -> stack.Plan:
    # Imported here, because the other commands need no web framework.
    from replog_api.main import check_exposure  # noqa: PLC0415

    given = {"api_host": host, "api_port": port}
    settings = load(ApiSettings, **{name: value for name, value in given.items() if value is not None})
    check_exposure(settings)
    drain_s = settings.api_drain_s if "api_drain_s" in settings.model_fields_set else 0.0
    return stack.Plan(folder, settings.api_host, check_free(settings.api_host, settings.api_port), demo, drain_s)


@app.command()
def publish(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Events, one JSON object a line; - reads stdin.")],
    *,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Publish the valid events although others are not.")
    ] = False,
) -> None:
    """Publish events to the broker that REPLOG_KAFKA_BOOTSTRAP_SERVERS names.

    All are checked first. Invalid ones are reported by line number, and then none is published.
    """
    with _opened(file) as lines:
        batch = publish_lines.read(lines)
    for number, problem in batch.invalid.items():
        typer.echo(f"line {number}: {problem}", err=True)
    if batch.invalid and not skip_invalid:
        typer.echo(f"{len(batch.invalid)} invalid events; nothing was published", err=True)
        raise typer.Exit(1)
    # The error that ends this command already contains what the client logs about the broker.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(publish_lines.publish(batch.events, Publisher()))
    typer.echo(f"{len(batch.events)} events published")


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise FatalError(f"{file} cannot be read: {error.strerror}") from None


def main() -> None:
    """Run the command; exit code 2 for a wrong setting, 1 for any other failure, each with one line."""
    try:
        app()
    except SettingsError as error:
        _end(error, 2)
    except (FatalError, RecoverableError) as error:
        _end(error, 1)


def _end(error: Exception, code: int) -> None:
    typer.echo(str(error), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
