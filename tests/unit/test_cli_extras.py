"""Commands that need more than the plain installation say so."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from replog.errors import FatalError
from replog_cli.extras import extra

#: What the extras bring, and what the command has to do without.
HIDDEN = ("cramjam", "redis", "prometheus_client", "fastapi", "uvloop", "msgpack", "hiredis", "confluent_kafka")
WITHOUT = f"""
import sys
class Hidden:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hidden())
import replog_cli.main
sys.argv = ["replog", "dlq", "list"]
replog_cli.main.main()
"""


@pytest.mark.parametrize("module", ["replog_cli.main", "replog_api.main", "replog_collector.main"])
def test_every_program_says_its_version(module: str) -> None:
    shown = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    program = module.split(".", maxsplit=1)[0].replace("replog_cli", "replog").replace("_", "-")
    assert shown.stdout == f"{program} {version('replog')}\n"


def test_a_module_that_is_missing_names_the_extra() -> None:
    with (
        pytest.raises(FatalError, match=r"dlq list needs the extra collector \(absent_module is missing\)"),
        extra("collector", "dlq list"),
    ):
        __import__("absent_module")


def test_the_plain_installation_has_the_command_and_says_what_is_missing() -> None:
    shown = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert shown.stderr == (
        "replog dlq list needs the extra collector (cramjam is missing); install replog[collector]\n"
    )
