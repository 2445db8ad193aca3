"""Commands that are listed by name and summary, and whose modules are imported once they are chosen."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Callable


class LazyCommand(TyperCommand):
    """A command as the list of its group shows it; its callback returns the command itself."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, which parses ``args``."""
        load = cast("Callable[[], Any]", self.callback)
        return load().make_context(info_name, args, parent, **extra)


def add_command(app: typer.Typer, name: str, target: str, summary: str, **settings: Any) -> None:
    """Add to ``app`` what ``target`` names as ``module:attribute``: the function of a command, or an app of several.

    ``summary`` is the first line of its help. ``settings`` are those of :meth:`typer.Typer.command`, for a function.
    """

    def load() -> Any:
        found = resolve_name(target)
        return typer.main.get_command(found if isinstance(found, typer.Typer) else _app_of(name, found, settings))

    app.command(name, cls=LazyCommand, help=summary)(load)


def _app_of(name: str, function: Callable[..., None], settings: dict[str, Any]) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command(name, **settings)(function)
    return app
