"""Every asyncio task of the product has a name, and is started by a call that leaves none of them without an owner."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    path for folder in ("api", "collector", "deploy", "shared") for path in sorted((ROOT / folder).rglob("*.py"))
]


def unowned(source: str) -> list[str]:
    """The calls in ``source`` that start tasks in a way that is not allowed, each with its line."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = [(node.lineno, fault) for node in calls if (fault := _fault(node))]
    return [f"line {line}: {fault}" for line, fault in sorted(found)]


def _fault(call: ast.Call) -> str | None:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    match call.func:
        case ast.Attribute(attr="create_task") if "name" not in keywords:
            return "create_task without a name"
        case ast.Attribute(attr="ensure_future") | ast.Name(id="create_task" | "ensure_future" | "gather"):
            return "tasks are started by asyncio.create_task"
        case ast.Attribute(attr="gather") if not _is_true(keywords.get("return_exceptions")):
            return "gather that leaves the others running where one fails"
    return None


def _is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def test_modules_start_tasks_with_names_and_owners() -> None:
    assert len(MODULES) > 100
    faults = {str(path.relative_to(ROOT)): unowned(path.read_text(encoding="utf-8")) for path in MODULES}
    assert {path: found for path, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    "line",
    [
        "asyncio.create_task(work())",
        "group.create_task(work())",
        "asyncio.ensure_future(work())",
        "create_task(work(), name='work')",
        "asyncio.gather(work(), others())",
        "asyncio.gather(work(), return_exceptions=False)",
    ],
)
def test_what_is_not_allowed_is_found(line: str) -> None:
    assert len(unowned(f"def f():\n    {line}\n")) == 1


@pytest.mark.parametrize(
    "line", ["asyncio.create_task(work(), name='work')", "asyncio.gather(*every, return_exceptions=True)"]
)
def test_what_is_allowed_is_not(line: str) -> None:
    assert unowned(line) == []
