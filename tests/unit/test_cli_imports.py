"""A run of ``replog`` imports what its own command needs; the lists of commands say what these say of themselves."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
import typer

from replog_cli.dlq.app import app as dlq
from replog_cli.main import app
from tests.support.system import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Runs the command with the arguments of this program, and prints the modules that are imported then.
RUN = """
import sys
from replog_cli.main import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
#: What the list of commands consists of.
LIST = {"replog_cli", "replog_cli.main", "replog_cli.lazy_commands"}
#: What commands that ask the query service have no use for.
OF_OTHERS = {"aiokafka", "cloudevents", "fastapi", "msgspec", "prometheus_client", "redis", "structlog"}
#: No query service listens there.
CLOSED_PORT = {"REPLOG_API_URL": "http://127.0.0.1:1"}


def modules_of(*arguments: str) -> set[str]:
    """The modules that are imported when a run of the command has ended."""
    command = [sys.executable, "-c", RUN, *arguments]
    ended = subprocess.run(command, env=environment(CLOSED_PORT), capture_output=True, text=True, check=False)
    return set(ended.stderr.splitlines()[-1].split())


def commands_of(modules: set[str]) -> set[str]:
    """The modules of ``replog``'s commands among ``modules``."""
    return {name for name in modules if name.split(".")[0] == "replog_cli"}


def lazy_commands(group: typer.Typer) -> Iterator[tuple[Any, Any]]:
    """Each command as its group lists it, and the command itself."""
    for listed in cast("Any", typer.main.get_command(group)).commands.values():
        yield listed, listed.callback()


def test_the_version_needs_no_command_and_no_rich() -> None:
    modules = modules_of("--version")
    assert commands_of(modules) == LIST
    assert modules.isdisjoint(OF_OTHERS | {"httpx", "pydantic", "rich"})


def test_the_list_of_commands_needs_none_of_them() -> None:
    modules = modules_of("--help")
    assert commands_of(modules) == LIST
    assert modules.isdisjoint(OF_OTHERS | {"httpx", "pydantic"})


def test_the_list_of_commands_for_dead_letters_needs_none_of_them() -> None:
    assert commands_of(modules_of("dlq", "--help")) == LIST | {"replog_cli.dlq", "replog_cli.dlq.app"}


@pytest.mark.parametrize("arguments", [("ls",), ("show", "r"), ("watch", "r"), ("export", "r")], ids=" ".join)
def test_a_command_that_reads_needs_no_other_one_and_no_driver(arguments: tuple[str, ...]) -> None:
    modules = modules_of(*arguments)
    shared = {"completion", "options", "client", "display"}
    assert {name.split(".")[1] for name in commands_of(modules) - LIST} <= {arguments[0], *shared}
    assert "httpx" in modules, "the command did not run"
    assert modules.isdisjoint(OF_OTHERS)


@pytest.mark.parametrize("group", [app, dlq], ids=["replog", "replog dlq"])
def test_the_list_says_of_each_command_what_its_own_help_begins_with(group: typer.Typer) -> None:
    for listed, command in lazy_commands(group):
        assert listed.help == command.help.split("\n\n")[0]
        assert listed.name == command.name or command.commands
