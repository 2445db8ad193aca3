"""``replog publish``: events from a file or stdin."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replog import Publisher
from replog.errors import FatalError
from replog_cli import publish_lines

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import BinaryIO


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
