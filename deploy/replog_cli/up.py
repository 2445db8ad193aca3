"""``replog up``: the whole system on one machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from replog.errors import FatalError
from replog.settings import ApiSettings, load
from replog_cli.display import console
from replog_local import stack
from replog_local.places import DataFolder, check_free


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
        plan = plan_of(folder, host, port, demo=demo)
        # Imported here, because it is of an extra, which is installed if there is a plan.
        from replog_cli.announcement import Announcement  # noqa: PLC0415

        announcement = Announcement(console.output(), plan)
        asyncio.run(stack.run(plan, announcement))
    announcement.stopped()


def plan_of(folder: DataFolder, host: str | None, port: int | None, *, demo: bool) -> stack.Plan:
    """The plan for the options and settings.

    Raises:
        FatalError: the extra ``local`` is not installed.
        SettingsError: a setting is wrong, or the port cannot be used.
    """
    try:
        # Imported here, because it is of an extra.
        from replog_api.main import check_exposure  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise FatalError(f"replog up needs the extra local ({error.name} is missing); install replog[local]") from None

    given = {"api_host": host, "api_port": port}
    settings = load(ApiSettings, **{name: value for name, value in given.items() if value is not None})
    check_exposure(settings)
    drain_s = settings.api_drain_s if "api_drain_s" in settings.model_fields_set else 0.0
    return stack.Plan(folder, settings.api_host, check_free(settings.api_host, settings.api_port), demo, drain_s)
