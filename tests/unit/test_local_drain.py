"""Ctrl-C of the local stack waits for no drain of its query service, unless that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replog_cli.up import plan_of
from replog_local.addresses import Addresses
from replog_local.places import DataFolder
from replog_local.stack import _environment

if TYPE_CHECKING:
    from pathlib import Path

ADDRESSES = Addresses("http://127.0.0.1:1", "http://127.0.0.1:2", "127.0.0.1:3", "t", "o", "redis://127.0.0.1:4/0")


@pytest.mark.parametrize(("given", "passed_on"), [(None, 0.0), ("5", 5.0), ("0", 0.0), ("2.5", 2.5)])
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_no_drain_unless_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, passed_on: float, where: str
) -> None:
    """Whichever way it is set; also to what is the default elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPLOG_API_DRAIN_S", raising=False)
    if given is not None and where == "environment":
        monkeypatch.setenv("REPLOG_API_DRAIN_S", given)
    elif given is not None:
        (tmp_path / ".env").write_text(f"REPLOG_API_DRAIN_S={given}\n")
    plan = plan_of(DataFolder(tmp_path / "data"), None, 0, demo=False)
    assert float(_environment(plan, ADDRESSES, 5)["REPLOG_API_DRAIN_S"]) == passed_on
