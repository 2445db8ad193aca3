"""A process with a wrong setting ends at once: exit code 2, and one line on stderr that says what to change."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.system import API, COLLECTOR, command, environment

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 30.0
SECRET = "hunter2"  # noqa: S105 - looked for in messages


def refused(module: str, folder: Path, *arguments: str, **variables: str) -> str:
    """The one line that the process leaves."""
    ended = subprocess.run(
        [*command(module), *arguments],
        env=environment(variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    [line] = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("module", "variables"),
    [
        (API, {"REPLOG_API_HOST": "0.0.0.0"}),
        (COLLECTOR, {"REPLOG_COLLECTOR_HOST": "192.0.2.1"}),
        (COLLECTOR, {"REPLOG_REDIS_URL": f"redis://user:{SECRET}@127.0.0.1:port/0"}),
        (COLLECTOR, {"REPLOG_KAFKA_TOPIC": "events", "REPLOG_KAFKA_DLQ_TOPIC": "events"}),
        (API, {"REPLOG_REDIS_URL": f"redis://user:{SECRET}@127.0.0.1?ssl_cert_reqs=none"}),
        (COLLECTOR, {"REPLOG_REDIS_URL": f"rediss://user:{SECRET}@127.0.0.1?ssl_ca_certs=/no/such/file.pem"}),
        (COLLECTOR, {"REPLOG_KAFKA_SSL_CAFILE": "/no/such/file.pem", "REPLOG_KAFKA_SECURITY_PROTOCOL": "SSL"}),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(module: str, variables: dict[str, str], tmp_path: Path) -> None:
    line = refused(module, tmp_path, **variables)
    name, value = next(iter(variables.items()))
    assert line.startswith(name)
    assert value.replace(SECRET, "***") in line
    assert "allowed" in line
    assert SECRET not in line


@pytest.mark.parametrize(("module", "variable"), [(API, "REPLOG_API_PORT"), (COLLECTOR, "REPLOG_COLLECTOR_PORT")])
def test_a_taken_port_is_named(module: str, variable: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"{variable}={port}" in refused(module, tmp_path, **{variable: str(port)})


def test_a_wrong_line_of_the_env_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REPLOG_LOG_LEVEL=LOUD\n")
    assert refused(COLLECTOR, tmp_path).startswith("REPLOG_LOG_LEVEL=LOUD")


def test_the_local_stack_refuses_what_its_processes_would(tmp_path: Path) -> None:
    variables = {"REPLOG_REDIS_URL": f"rediss://:{SECRET}@127.0.0.1?ssl_cert_reqs=maybe"}
    line = refused("replog_cli.main", tmp_path, "up", **variables)
    assert line.startswith("REPLOG_REDIS_URL=rediss://:***@127.0.0.1?ssl_cert_reqs=maybe is wrong")
    assert "none, optional, required" in line
