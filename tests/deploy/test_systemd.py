"""The units of systemd: valid, hardened, and starting commands that exist."""

from __future__ import annotations

import configparser
import subprocess
import tomllib
from pathlib import Path

import pytest

from replog.settings import ApiSettings, CollectorSettings, secrets_of, variable
from tests.support.tools import required

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
#: Greatest exposure that systemd may find, in tenths: 0 is none, 100 is all.
EXPOSURE = 15

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def analyze() -> str:
    return required("systemd-analyze", "REPLOG_TEST_SYSTEMD")


def section(unit: Path) -> configparser.SectionProxy:
    """What the unit says of its service."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit, encoding="utf-8")
    return parser["Service"]


def test_each_service_has_a_unit() -> None:
    assert [unit.stem for unit in UNITS] == ["replog-api", "replog-collector"]


@each_unit
def test_a_unit_is_valid(analyze: str, unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    # systemd looks for the command, which is not installed there.
    copy.write_text(unit.read_text("utf-8").replace(section(unit)["ExecStart"], "/bin/true"), encoding="utf-8")
    ended = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@each_unit
def test_a_unit_is_hardened(analyze: str, unit: Path) -> None:
    command = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(unit)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-300:]


@each_unit
def test_a_unit_starts_a_command_that_exists(unit: Path) -> None:
    command = Path(section(unit)["ExecStart"])
    assert command.name == unit.stem
    assert command.name in SCRIPTS


@each_unit
def test_secrets_are_credentials(unit: Path) -> None:
    """Each setting of a file names one of them, under the directory that systemd makes for the unit."""
    lines = unit.read_text("utf-8").splitlines()
    credentials = dict(
        line.removeprefix("LoadCredential=").split(":") for line in lines if "LoadCredential=" in line[:15]
    )
    files = dict(line.removeprefix("Environment=").split("=") for line in lines if line.startswith("Environment="))
    secrets = secrets_of(ApiSettings if unit.stem == "replog-api" else CollectorSettings)
    assert files.keys() <= {variable(f"{name}_file") for name in secrets}
    assert sorted(files.values()) == sorted(f"%d/{name}" for name in credentials)
    folder = f"/etc/replog/{unit.stem.removeprefix('replog-')}"
    assert credentials == {name: f"{folder}/{name}" for name in credentials}
