"""``replog bench`` runs the benchmarks of its checkout, and says where there is none."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from replog.errors import FatalError
from replog_cli.bench import CHECKOUT, run

if TYPE_CHECKING:
    from pathlib import Path


def test_words_go_to_the_benchmarks_and_their_exit_code_comes_back(tmp_path: Path, capfd: Any) -> None:
    benchmarks = tmp_path / "tests" / "benchmarks"
    benchmarks.mkdir(parents=True)
    (benchmarks / "__main__.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(3)\n")
    assert run(tmp_path, ["store", "--details", "5"]) == 3
    assert capfd.readouterr().out == "['store', '--details', '5']\n"


def test_options_of_a_benchmark_are_none_of_the_command(tmp_path: Path) -> None:
    """From whatever folder."""
    command = [sys.executable, "-m", "replog_cli.main", "bench", "decode", "--records", "many"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "argument --records: invalid int value: 'many'" in ended.stderr


def test_without_a_checkout_there_is_nothing_to_run(tmp_path: Path) -> None:
    assert (CHECKOUT / "pyproject.toml").is_file()
    with pytest.raises(FatalError, match="needs the source"):
        run(tmp_path, [])
