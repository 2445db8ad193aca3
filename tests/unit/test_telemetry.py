"""Log actions: mypy refuses unknown ones, and each constant is logged somewhere."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

from structlog.testing import capture_logs

from replog.telemetry import LogAction, logger

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "collector", "deploy", "shared")


def test_an_unknown_action_is_refused_by_mypy() -> None:
    """Were it not, the ignored error would be an unused one, which mypy reports (`make lint`)."""
    with capture_logs() as lines:
        logger().info("recoverd")  # type: ignore[arg-type]
        logger().info("recovered", action="a field")
    assert [line["event"] for line in lines] == ["recoverd", "recovered"]


def _texts(source: str) -> set[str]:
    constants = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def test_every_action_is_logged_somewhere() -> None:
    """That no other is logged, mypy holds."""
    modules = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path.name != "telemetry.py"]
    texts = set().union(*(_texts(path.read_text(encoding="utf-8")) for path in modules))
    assert set(get_args(LogAction)) - texts == set()
