"""Options that the commands for dead letters share."""

from __future__ import annotations

import inspect
import re
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from replog_cli.time_options import FORMS, METAVAR, time_option
from replog_repair.dead_letters.letter import Place
from replog_repair.dead_letters.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

#: Letters that are named where there may be very many.
MOST_NAMED = 20


def place_option(text: str) -> Place:
    """The place that is written as ``P:O``; the parser of such options.

    Raises:
        typer.BadParameter: it is no place.
    """
    found = re.fullmatch(r"(\d{1,9}):(\d{1,18})", text, re.ASCII)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no place; allowed: a partition and an offset, as 0:42")
    return Place(int(found[1]), int(found[2]))


SinceOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--since", parser=time_option, metavar=METAVAR, help=f"Dead at this time or later, {FORMS}."),
]
UntilOption: TypeAlias = Annotated[
    int | None, typer.Option("--until", parser=time_option, metavar=METAVAR, help="Dead before this time.")
]
ReasonOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--reason", help="With this reason, as invalid_field; may be given several times.")
]
TypeOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--type", help="Events of this type; may be given several times.")
]
TaskOption: TypeAlias = Annotated[str | None, typer.Option("--task", help="Events with exactly this task key.")]
RecordOption: TypeAlias = Annotated[str | None, typer.Option("--record", help="Events of exactly this record.")]
MatchOption: TypeAlias = Annotated[
    str | None, typer.Option("--match", help="With this text in the error, the key or the value.")
]
ExecuteOption: TypeAlias = Annotated[
    bool, typer.Option("--execute", help="Do it. Without this, the command only says what it would do.")
]


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options that select letters; it gets the selection as its argument ``selection``."""
    of_selection = inspect.signature(_selection, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @wraps(command)
    def run(**given: Any) -> None:
        selection = _selection(**{name: given.pop(name) for name in of_selection})
        command(selection=selection, **given)

    parameters = [*of_selection.values(), *(one for one in own.values() if one.name != "selection")]
    # Typer reads both.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # any function may have one
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _selection(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    reason: ReasonOption = None,
    event_type: TypeOption = None,
    task: TaskOption = None,
    record: RecordOption = None,
    match: MatchOption = None,
) -> Selection:
    return Selection(since, until, frozenset(reason or ()), frozenset(event_type or ()), task, record, match)
