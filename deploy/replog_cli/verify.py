"""``replog verify``: the proof that a store is right."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replog.errors import FatalError, RecoverableError, SettingsError
from replog.store.inspect.findings import shown as shown_key
from replog_cli.collector_settings import collector_settings
from replog_cli.display import console, formatting
from replog_cli.display.work_progress import WorkProgress
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json
from replog_repair.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog.store.inspect.findings import Finding
    from replog_repair.verification.verifier import Verdict

#: Differences that are printed; ``--json`` has all that are kept.
MOST_PRINTED = 100
EQUAL, DIFFERENT, COULD_NOT = 0, 1, 2


def verify(
    *,
    against: Annotated[
        str, typer.Option("--against", metavar="STORE", help="Another store, as URL#PREFIX; default: the topic.")
    ] = "",
    record: Annotated[str | None, typer.Option("--record", metavar="ID", help="Only this record.")] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="KEY", help="Only the records of this task.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what differs, then verify that again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the store with the topic, or with another store, and with its own indexes, sums and lists.

    Events may flow meanwhile: what differs is examined again until it settles. Exit code 0: equal; 1: different, each
    difference is named; 2: it could not be verified.
    """
    if record is not None and task is not None:
        raise typer.BadParameter("--record and --task exclude each other; give one of them")
    with could_not():
        verdict = _verified(against, record, task, repair=repair)
    code = exit_code(verdict)
    if as_json:
        print_json(as_object(verdict, code))
    else:
        print_verdict(verdict)
    raise typer.Exit(code)


@contextmanager
def could_not() -> Iterator[None]:
    """End the command with :data:`COULD_NOT` where the block fails: 1 says that something is different."""
    try:
        yield
    except SettingsError:
        raise
    except (FatalError, RecoverableError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(COULD_NOT) from None


def _verified(against: str, record: str | None, task: str | None, *, repair: bool) -> Verdict:
    with extra("collector", "verify"):
        from replog_repair.verification import running  # noqa: PLC0415 - of an extra
    settings = collector_settings()
    store = store_of("", settings)
    other = store_of(against, settings) if against else None
    if other == store:
        raise SettingsError(f"--against={other.shown} is the store itself; name another one")
    with WorkProgress(console.messages(), "rows") as progress:
        scope = running.Scope(record, task)
        return asyncio.run(
            running.verify(settings, store=store, against=other, scope=scope, repair=repair, report=progress)
        )


def exit_code(verdict: Verdict) -> int:
    """The exit code of a verdict: what is different counts more than what could not be verified."""
    if verdict.findings:
        return DIFFERENT
    return COULD_NOT if verdict.unsettled else EQUAL


def as_object(verdict: Verdict, code: int) -> dict[str, Any]:
    """A verdict as JSON."""
    return {
        "result": {EQUAL: "equal", DIFFERENT: "different", COULD_NOT: "unsettled"}[code],
        "records": verdict.records,
        "details": verdict.details,
        "tasks": verdict.tasks,
        "comparedAsAtLeast": verdict.at_least,
        "repaired": verdict.repaired,
        "unsettled": verdict.unsettled,
        "more": verdict.cut,
        "differences": [_difference(finding) for finding in verdict.findings],
    }


def _difference(finding: Finding) -> dict[str, Any]:
    return {
        "what": finding.what,
        "recordId": finding.record_id or None,
        "detailId": finding.detail_id,
        "taskKey": finding.task_key,
        "key": shown_key(finding.key),
        "text": finding.text,
    }


def print_verdict(verdict: Verdict) -> None:
    """Print the differences on stdout, and all else on stderr."""
    for finding in verdict.findings[:MOST_PRINTED]:
        names = (("record", finding.record_id), ("detail", finding.detail_id), ("task", finding.task_key))
        place = " ".join(f"{name} {formatting.plain(text)}" for name, text in names if text)
        typer.echo(f"{finding.what}: {place}: {finding.text} [{shown_key(finding.key)}]")
    more = len(verdict.findings) - MOST_PRINTED
    if more > 0 or verdict.cut:
        typer.echo(f"... and {max(more, 0)}{' or more' * verdict.cut} other differences; --json names them", err=True)
    for name in verdict.unsettled[:MOST_PRINTED]:
        typer.echo(f"unsettled: {formatting.plain(name)}: it was written to whenever it was examined", err=True)
    typer.echo(_summary(verdict), err=True)


def _summary(verdict: Verdict) -> str:
    number = formatting.number
    parts = [f"{number(verdict.records)} records, {number(verdict.details)} details, {number(verdict.tasks)} tasks"]
    if verdict.at_least:
        parts.append(f"{number(verdict.at_least)} records compared as at least: the topic may lack events of them")
    if verdict.repaired:
        parts.append(f"{number(verdict.repaired)} differences repaired")
    if verdict.unsettled:
        parts.append(f"{number(len(verdict.unsettled))} unsettled")
    parts.append(f"{number(len(verdict.findings))} differences" if verdict.findings else "no difference")
    return "; ".join(parts)
