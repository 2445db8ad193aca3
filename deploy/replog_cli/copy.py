"""``replog copy``: a store merged into another one, or into a file and back."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from replog.settings import StoreSettings, load
from replog_cli.display import console, formatting
from replog_cli.display.work_progress import WorkProgress
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json

#: Keys that cannot be read are named up to so many.
MOST_NAMED = 20


def copy(
    *,
    origin: Annotated[
        str, typer.Option("--from", metavar="STORE|FILE", help="What to copy. Default: the store of the settings.")
    ] = "",
    destination: Annotated[
        str, typer.Option("--to", metavar="STORE|FILE", help="Where to. Default: the store of the settings.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Merge all records of a store into another store, or write them to a file, or merge a file into a store.

    A STORE is URL#PREFIX. Without the URL (#PREFIX) or the prefix (URL), that of REPLOG_REDIS_URL and
    REPLOG_REDIS_PREFIX is used. Everything else is the path of a FILE.

    Both stores may be in use. The copy may be stopped and run again at any time. Once it is complete, collectors that
    start on the new store go on where the old one was when the copy began.
    """
    with extra("collector", "copy"):
        from replog_repair.copying.places import copy_between, place_of, shown  # noqa: PLC0415 - of an extra
    settings = load(StoreSettings)
    places = place_of(origin, settings), place_of(destination, settings)
    unreadable: list[str] = []
    with WorkProgress(console.messages(), "records and details") as progress:
        progress.begin(f"copy {shown(places[0])} to {shown(places[1])}")
        copied = asyncio.run(
            copy_between(
                *places,
                progress=progress.update,
                unreadable=lambda key, why: unreadable.append(f"{key.decode(errors='replace')}: {why}"),
            )
        )
    if as_json:
        print_json({"from": shown(places[0]), "to": shown(places[1]), **copied._asdict(), "unreadable": unreadable})
    else:
        resumed = f"; {copied.resumed_buckets} of 64 buckets were there already" if copied.resumed_buckets else ""
        typer.echo(f"{formatting.number(copied.rows)} records and details copied to {shown(places[1])}{resumed}")
    for line in unreadable[:MOST_NAMED]:
        typer.echo(f"not copied: {formatting.plain(line)}", err=True)
    if unreadable:
        typer.echo(f"{len(unreadable)} keys or values cannot be read, and were not copied", err=True)
        raise typer.Exit(1)
