"""The rights that operators are told to give are what the store's calls, scripts and connections send, and no more."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import replog_api
import replog_collector
import replog_repair
from replog import store
from replog.store.client import rights, scripts
from tests.support.services import redis_acl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

STORE = Path(store.__file__).parent
#: What the driver's methods that the edge uses send.
METHODS = {"info": "info", "script_load": "script|load"}
#: What has subcommands, of which access lists name one.
CONTAINERS = {"CLUSTER"}


def commands_of_lua(script: str) -> set[str]:
    """The commands that a script calls: every one in the first argument of a call."""
    calls = re.findall(r"redis\.p?call\(([^,)]*)", script)
    assert all(re.search(r"'[A-Z]+'", first) for first in calls)
    return {word.lower() for first in calls for word in re.findall(r"'([A-Z]+)'", first)}


def modules_from(package: ModuleType) -> set[Path]:
    """The modules of the store that a package imports, directly or by others."""
    (folder,) = package.__path__
    found: set[Path] = set()
    new = set(Path(folder).rglob("*.py"))
    while new:
        new = {module for source in new for module in imported_from(source)} - found
        found |= new
    return found


def imported_from(source: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("replog.store"):
            place = STORE.joinpath(*str(node.module).split(".")[2:])
            named = [place.with_suffix(".py"), *(place / f"{alias.name}.py" for alias in node.names)]
            yield from (module for module in named if module.is_file())


def commands_of_python(source: Path) -> set[str]:
    """What a module sends: by calls of a command or a script, and by the driver's own methods."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            found |= commands_of_call(node)
    return found


def commands_of_call(node: ast.Call) -> set[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    words = [str(word.value) for word in node.args if isinstance(word, ast.Constant)]
    if name == "Command" and isinstance(node.args[0], ast.Name):
        script = getattr(scripts, node.args[0].id, None)
        return {"evalsha"} | commands_of_lua(script.text) if script else set()
    if name in {"Command", "execute_command"} and words:
        first, *others = words
        return {f"{first}|{others[0]}".lower() if first in CONTAINERS else first.lower()}
    return {METHODS[name]} if name in METHODS else set()


def sent_by(package: ModuleType) -> set[str]:
    return {command for module in modules_from(package) for command in commands_of_python(module)}


def commands(of: tuple[rights.Right, ...]) -> set[str]:
    return {right.command for right in of}


def test_the_query_service_needs_what_it_sends() -> None:
    assert commands(rights.QUERY_SERVICE + rights.IN_CLUSTER) == sent_by(replog_api)


def test_a_collector_needs_what_it_sends_and_what_reads() -> None:
    needed = commands(rights.COLLECTOR + rights.IN_CLUSTER)
    assert needed == sent_by(replog_collector) | commands(rights.QUERY_SERVICE + rights.IN_CLUSTER)


def test_an_operator_needs_what_repairs_send_and_what_a_collector_does() -> None:
    needed = commands(rights.OPERATOR + rights.IN_CLUSTER)
    assert needed == sent_by(replog_repair) | commands(rights.COLLECTOR + rights.IN_CLUSTER)


def test_every_script_is_loaded_by_both() -> None:
    """So that none is missing in the comparison above."""
    used = commands_of_lua("\n".join(script.text for script in scripts.ALL))
    assert used <= commands(rights.COLLECTOR)


@pytest.mark.parametrize(
    ("user", "needed"),
    [
        (redis_acl.COLLECTOR, rights.COLLECTOR),
        (redis_acl.QUERY_SERVICE, rights.QUERY_SERVICE),
        (redis_acl.OPERATOR, rights.OPERATOR),
    ],
)
def test_operations_gives_exactly_these(user: str, needed: tuple[rights.Right, ...]) -> None:
    rules = redis_acl.documented_rules(user)
    assert [rule for rule in rules if not rule.startswith("+")] == [
        "on",
        ">PASSWORD",
        "resetkeys",
        "~replog:*",
        "resetchannels",
        "-@all",
    ]
    given = [rule for rule in rules if rule.startswith("+")]
    assert given == sorted(right.rule for right in (*needed, *rights.TRANSACTION))


def test_operations_says_what_a_cluster_and_another_database_need() -> None:
    text = redis_acl.PAGE.read_text(encoding="utf-8")
    assert f"`{' '.join(right.rule for right in rights.IN_CLUSTER)}`" in text
    assert f"`{' '.join(right.rule for right in rights.OTHER_DATABASE)}`" in text


def test_a_key_beside_another_lies_in_its_slot() -> None:
    assert rights.key_beside(b"replog:{5}:record:a}b") == b"replog:{5}:rights"
    assert rights.Needs("p:q", ()).key == b"p:q:{0}:rights"
