"""``replog rebuild``: a second store from the topic, beside the live one; and its removal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from replog.errors import StoreIncompatible
from replog.settings import mask_url
from replog_cli import verify
from replog_cli.collector_settings import collector_settings
from replog_cli.display import console, formatting
from replog_cli.display.work_progress import WorkProgress
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json
from replog_repair.stores import store_of

if TYPE_CHECKING:
    from replog.settings import CollectorSettings
    from replog_repair.rebuilding import Rebuilt
    from replog_repair.stores import NamedStore
    from replog_repair.verification.verifier import Verdict


def rebuild(
    *,
    into: Annotated[
        str, typer.Option("--into", metavar="STORE", help="The store to fill, as URL#PREFIX, #PREFIX or URL.")
    ] = "",
    drop: Annotated[
        str, typer.Option("--drop", metavar="STORE", help="Remove this store instead; the live one is refused.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Fill a second store from the topic while the live one serves, compare the two, and say what to set.

    It may be stopped and run again: it goes on. Exit code 0: equal to the live store; 1: different, which may be right:
    the live store has what the topic no longer has; 2: it could not be rebuilt or compared. A live store of another
    layout does not prevent the rebuild, only the comparison. With --drop, 1: it failed.
    """
    if bool(into) == bool(drop):
        raise typer.BadParameter("give one of --into and --drop")
    with extra("collector", "rebuild"):
        from replog_repair.rebuilding import drop_store, rebuild_into  # noqa: PLC0415 - of an extra
    settings = collector_settings()
    place = store_of(into or drop, settings)
    if drop:
        with WorkProgress(console.messages(), "buckets") as progress:
            removed = asyncio.run(drop_store(settings, place, report=progress))
        _tell_dropped(place, removed, as_json=as_json)
        return
    with verify.could_not():
        with WorkProgress(console.messages(), "offsets") as progress:
            rebuilt = asyncio.run(rebuild_into(settings, place, report=progress))
        verdict = _compared(settings, place)
    code = verify.exit_code(verdict) if verdict else verify.COULD_NOT
    if as_json:
        comparison = verify.as_object(verdict, code) if verdict else None
        print_json({**rebuilt._asdict(), "settings": _settings(place), "comparison": comparison})
    else:
        if verdict:
            verify.print_verdict(verdict)
        _tell_rebuilt(place, rebuilt)
    raise typer.Exit(code)


def _compared(settings: CollectorSettings, place: NamedStore) -> Verdict | None:
    """The verdict on a new store against the live one; None, after a message, if it cannot be read."""
    from replog_repair.verification import running  # noqa: PLC0415 - of an extra

    scope, live = running.Scope(), store_of("", settings)
    try:
        with WorkProgress(console.messages(), "rows") as progress:
            return asyncio.run(
                running.verify(settings, store=place, against=live, scope=scope, repair=False, report=progress)
            )
    except StoreIncompatible as error:
        typer.echo(f"not compared with the live store: {error}", err=True)
        return None


def _settings(place: NamedStore) -> dict[str, str]:
    return {"REPLOG_REDIS_URL": mask_url(place.redis_url), "REPLOG_REDIS_PREFIX": place.prefix}


def _tell_rebuilt(place: NamedStore, rebuilt: Rebuilt) -> None:
    number = formatting.number
    typer.echo(f"{number(rebuilt.events)} events merged into {place.shown}; {number(rebuilt.invalid)} invalid")
    typer.echo("To use it, restart the collectors, then the query services, with the same consumer group and:")
    for name, value in _settings(place).items():
        typer.echo(f"{name}={value}")


def _tell_dropped(place: NamedStore, removed: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"dropped": place.shown, "records": removed})
    else:
        typer.echo(f"{place.shown} is removed, with {formatting.number(removed)} records")
