"""No test changes a constant of the product: limits and timings are parameters, and tests pass others."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "tests").rglob("*.py"))


def patches(source: str) -> list[str]:
    """The changes of constants in ``source``, each with its line."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call | ast.Assign)]
    found = [(node.lineno, fault) for node in nodes for fault in _faults(node)]
    return [f"line {line}: {fault}" for line, fault in sorted(found)]


def _faults(node: ast.Call | ast.Assign) -> list[str]:
    match node:
        case ast.Call(func=ast.Attribute(attr="setattr") | ast.Name(id="setattr")):
            return _faults_of_setattr(node)
        case ast.Assign(targets=targets):
            attributes = [target for target in targets if isinstance(target, ast.Attribute)]
            return [f"{target.attr} is a constant" for target in attributes if _is_constant(target.attr)]
    return []


def _faults_of_setattr(call: ast.Call) -> list[str]:
    # The name is in the first argument, as in `setattr("module.NAME", 1)`, or it is the second of three.
    names = {keyword.arg: keyword.value for keyword in call.keywords}
    name = names.get("name") or call.args[min(1, len(call.args) + len(names.keys() & {"value"}) - 2)]
    match name:
        case ast.Constant(value=str(path)):
            return [f"{path} is a constant"] if _is_constant(path) else []
    # The built-in function is also called with names that are not known here.
    return [] if isinstance(call.func, ast.Name) else ["the name of what is patched is no literal"]


def _is_constant(path: str) -> bool:
    return path.rpartition(".")[2].isupper()


def test_no_test_changes_a_constant() -> None:
    assert len(MODULES) > 100
    faults = {str(path.relative_to(ROOT)): patches(path.read_text(encoding="utf-8")) for path in MODULES}
    assert {path: found for path, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    "line",
    [
        "monkeypatch.setattr(stream, 'INTERVAL_S', 0.1)",
        "monkeypatch.setattr('replog_api.live.stream.INTERVAL_S', 0.1)",
        "monkeypatch.setattr(stream, '_POLL_S', value=0.1)",
        "monkeypatch.setattr('stream.NEAR', value=0)",
        "monkeypatch.setattr(stream, name='NEAR', value=0)",
        "monkeypatch.setattr(module, name, limit)",
        "patch.setattr(f'replog.{name}', limit)",
        "setattr(stream, 'NEAR', 0)",
        "stream.NEAR = 0",
        "first = stream.NEAR = 0",
    ],
)
def test_a_change_of_a_constant_is_found(line: str) -> None:
    assert len(patches(f"def f():\n    {line}\n")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "monkeypatch.setattr(sys, 'argv', ['replog'])",
        "monkeypatch.setattr('platform.system', lambda: 'Plan9')",
        "monkeypatch.setattr(Search, 'page', noted)",
        "setattr(value, name, 'x')",
        "monkeypatch.setenv('REPLOG_API_PORT', '9001')",
        "NEAR = stream.NEAR",
    ],
)
def test_what_is_allowed_is_not(line: str) -> None:
    assert patches(line) == []
