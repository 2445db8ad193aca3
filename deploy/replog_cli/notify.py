"""``replog notify``: posts the ends of records to a webhook."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeAlias

import typer

from replog.log_configuration import configure_logs
from replog.settings import NotifySettings, load, report_environment
from replog_cli.extras import extra
from replog_cli.options import Status

#: The consumer group, unless another is asked for.
GROUP = "replog-notify"

_OnlyOption: TypeAlias = Annotated[
    list[Status] | None,
    typer.Option("--only", case_sensitive=False, help="Records with this status (RUNNING: reopened); repeatable."),
]


def notify(
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Where each outcome is posted to.")],
    *,
    only: _OnlyOption = None,
    task: Annotated[str, typer.Option("--task", metavar="PREFIX", help="Tasks whose key begins with this.")] = "",
    group: Annotated[str, typer.Option("--group", help="The consumer group; one for each webhook.")] = GROUP,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop where the receiver refuses an outcome, with exit code 1.")
    ] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, max=300, help="Seconds that one attempt may take.")
    ] = 10.0,
) -> None:
    """Post each outcome on REPLOG_KAFKA_OUTCOMES_TOPIC to a webhook, at least once, until it is stopped.

    Each is a CloudEvent in structured mode, signed with REPLOG_NOTIFY_SECRET. An attempt that fails is repeated until
    the receiver takes the outcome, or refuses it for good.
    """
    with extra("collector", "notify"):
        # Imported here, because they are of an extra.
        from replog_repair.notifying.selection import Selection  # noqa: PLC0415
        from replog_repair.notifying.service import NotifierProcess, Options  # noqa: PLC0415
        from replog_repair.notifying.webhook import checked_url  # noqa: PLC0415
    try:
        checked_url(url)
    except ValueError as error:
        raise typer.BadParameter(f"{url}: allowed: {error}", param_hint="--url") from None
    settings = load(NotifySettings)
    configure_logs(settings, service="notify")
    report_environment()
    options = Options(url, Selection(frozenset(map(str, only or ())), task), group, strict, timeout_s)

    async def run() -> None:
        await NotifierProcess(settings, options).run()

    asyncio.run(run())
