"""What stands in the environment and is no setting is told: misspelt names, and what Kubernetes puts there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from replog.environment import Notice, notices
from replog.errors import SettingsError
from replog.settings import ApiSettings, CollectorSettings, load, report_environment

KNOWN = {"REPLOG_API_PORT", "REPLOG_API_HOST", "REPLOG_REDIS_URL"}
#: What Kubernetes gives every container of a namespace with a Service ``replog-api`` that has a named port.
OF_A_SERVICE = {
    "REPLOG_API_SERVICE_HOST": "10.0.0.1",
    "REPLOG_API_SERVICE_PORT": "8080",
    "REPLOG_API_SERVICE_PORT_HTTP": "8080",
    "REPLOG_API_PORT": "tcp://10.0.0.1:8080",
    "REPLOG_API_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "REPLOG_API_PORT_8080_TCP_PROTO": "tcp",
    "REPLOG_API_PORT_8080_TCP_PORT": "8080",
    "REPLOG_API_PORT_8080_TCP_ADDR": "10.0.0.1",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("REPLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("REPLOG_REDIS_URI", "REPLOG_REDIS_URL"),
        ("REPLOG_APIHOST", "REPLOG_API_HOST"),
        ("REPLOG_SOMETHING_ELSE", ""),
        ("REPLOG_", ""),
    ],
)
def test_an_unknown_variable_is_told(name: str, nearest: str) -> None:
    """With the setting that may be meant."""
    assert list(notices({name: "x", "REPLOG_API_HOST": "x"}, KNOWN)) == [Notice("setting_unknown", name, nearest)]


def test_of_a_service_only_the_port_of_a_setting_is_told() -> None:
    """The rest is not meant for anybody here."""
    assert list(notices(OF_A_SERVICE, KNOWN)) == [
        Notice("setting_ignored", "REPLOG_API_PORT", "tcp://10.0.0.1:8080"),
    ]
    of_others = {name.replace("_API", "_REDIS"): value for name, value in OF_A_SERVICE.items()}
    assert list(notices(of_others, KNOWN)) == []
    of_all = {name.replace("_API", ""): value for name, value in OF_A_SERVICE.items()}
    assert list(notices(of_all, KNOWN)) == []


@pytest.mark.parametrize(
    ("group", "name"), [(ApiSettings, "REPLOG_API_PORT"), (CollectorSettings, "REPLOG_COLLECTOR_PORT")]
)
@pytest.mark.parametrize("value", ["tcp://10.0.0.1:8080", "TCP://[fd00::1]:80", "udp://10.0.0.1:53"])
def test_the_address_of_a_service_is_no_port(
    monkeypatch: pytest.MonkeyPatch, group: Any, name: str, value: str
) -> None:
    """The setting is as not set: the default counts, or what the file says."""
    env_file = Path(".env")
    field = name.removeprefix("REPLOG_").lower()
    monkeypatch.setenv(name, value)
    assert getattr(load(group), field) == group.model_fields[field].default
    env_file.write_text(f"{name}=9000\n")
    assert getattr(load(group), field) == 9000
    env_file.write_text(f"{name}={value}\n")
    monkeypatch.setenv(name, "9001")
    assert getattr(load(group), field) == 9001


@pytest.mark.parametrize("value", ["http://10.0.0.1:80", "10.0.0.1:80", "tcp:80"])
def test_anything_else_is_a_wrong_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """As before."""
    monkeypatch.setenv("REPLOG_API_PORT", value)
    with pytest.raises(SettingsError, match="REPLOG_API_PORT"):
        load(ApiSettings)


def test_a_process_tells_what_it_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment and the file, in any case; once each, and no value of what is unknown."""
    env_file = Path(".env")
    for name, value in OF_A_SERVICE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REPLOG_REDIS_URI", "hunter2")
    monkeypatch.setenv("REPLOG_KAFKA_TOPIC", "t")
    env_file.write_text("replog_api_worker=2\nREPLOG_REDIS_URI=hunter2\nOTHER=1\nREPLOG_API_HOST=127.0.0.1\n")
    with capture_logs() as lines:
        report_environment()
    assert [(line["event"], line["log_level"], line["variable"]) for line in lines] == [
        ("setting_ignored", "warning", "REPLOG_API_PORT"),
        ("setting_unknown", "warning", "REPLOG_API_WORKER"),
        ("setting_unknown", "warning", "REPLOG_REDIS_URI"),
    ]
    assert [line.get("nearest") for line in lines[1:]] == ["REPLOG_API_WORKERS", "REPLOG_REDIS_URL"]
    assert "hunter2" not in str(lines)


def test_where_all_is_well_nothing_is_told() -> None:
    """Lines that always come are not read."""
    with capture_logs() as lines:
        report_environment()
    assert lines == []
