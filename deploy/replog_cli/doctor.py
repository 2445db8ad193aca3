"""``replog doctor``: checks of Kafka, Redis, the query service and the settings, with what to do."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import typer

from replog.settings import ClientSettings, CollectorSettings, load
from replog_cli.display import console, diagnosis
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from replog_repair.diagnosis.checking.checks import Check


def doctor(*, as_json: JsonOption = False) -> None:
    """Check Kafka, Redis, rights, the group, the query service, clocks and settings; say what to do.

    Reads the settings of a collector, and REPLOG_API_URL. Changes nothing. Ends with exit code 1 if a check fails.
    """
    with extra("collector", "doctor"):
        from replog_repair.diagnosis.checking.checks import worst  # noqa: PLC0415 - of an extra
        from replog_repair.diagnosis.observing.observer import observe  # noqa: PLC0415
        from replog_repair.diagnosis.verdicts import diagnose  # noqa: PLC0415

    settings, client = load(CollectorSettings), load(ClientSettings)
    # What the drivers log about servers that do not answer is in the verdicts.
    logging.disable(logging.CRITICAL)
    # Not asyncio.run: that waits for a thread that asks a name server which does not answer.
    loop = asyncio.new_event_loop()
    try:
        checks = diagnose(loop.run_until_complete(observe(settings, client)))
    finally:
        loop.close()
    verdict = worst(checks)
    if as_json:
        print_json({"verdict": verdict, "checks": [_as_json(check) for check in checks]})
    else:
        output = console.output()
        output.print(diagnosis.checks(checks, output.width))
    if verdict == "fail":
        raise typer.Exit(1)


def _as_json(check: Check) -> dict[str, Any]:
    return {
        "area": check.area,
        "check": check.name,
        "verdict": check.verdict,
        "found": check.found,
        "advice": check.advice,
    }
