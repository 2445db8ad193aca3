"""The container files name only what exists: settings, extras, commands, and the versions that tests run."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from replog.settings import ApiSettings, CollectorSettings, variable
from tests.support.services import kafka_docker
from tests.support.services import redis as redis_service

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, type[BaseSettings]] = {"collector": CollectorSettings, "api": ApiSettings}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
WITH_TOKENS: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.tokens.yaml").read_text())
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
#: The text of each stage of the Dockerfile, by its name.
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL))

each_service = pytest.mark.parametrize("service", SERVICES)


def settings_of(service: str) -> dict[str, object]:
    """The variables of ``service`` with their defaults."""
    return {variable(name): field.default for name, field in SERVICES[service].model_fields.items()}


@each_service
def test_compose_sets_only_variables_that_the_service_reads(service: str) -> None:
    """A misspelt variable would be ignored in silence."""
    assert COMPOSE[service]["environment"].keys() <= settings_of(service).keys()


@each_service
def test_compose_values_are_allowed(service: str) -> None:
    """The service starts with what compose.yaml gives it."""
    environment = COMPOSE[service]["environment"]
    values = {name.removeprefix("REPLOG_").lower(): value for name, value in environment.items()}
    SERVICES[service].model_validate(values)


def test_compose_takes_tokens_from_a_secret() -> None:
    """The file beside compose.yaml changes the query service alone, and sets what it reads."""
    (changed,) = WITH_TOKENS["services"].items()
    service, more = changed
    (secret,) = more["secrets"]
    assert WITH_TOKENS["secrets"].keys() == {secret}
    assert service == "api"
    assert more["environment"].keys() <= settings_of(service).keys()
    assert more["environment"]["REPLOG_API_TOKENS_FILE"] == f"/run/secrets/{secret}"


@each_service
def test_compose_builds_a_stage_that_exists(service: str) -> None:
    """Each service has its own last stage."""
    assert COMPOSE[service]["build"]["target"] == service
    assert service in STAGES


@each_service
def test_compose_waits_until_servers_are_healthy(service: str) -> None:
    """What a service depends on has a health check, and is waited for."""
    for server, wait in COMPOSE[service]["depends_on"].items():
        assert wait == {"condition": "service_healthy"}
        assert COMPOSE[server]["healthcheck"]["test"]


def test_compose_publishes_on_loopback_only() -> None:
    """Nobody is authenticated, so nothing is reachable from beyond this machine."""
    published = [port for service in COMPOSE.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_runs_the_servers_that_tests_run() -> None:
    """What the tests prove is proved of the versions that are deployed."""
    assert COMPOSE["kafka"]["image"] == kafka_docker.IMAGE
    assert COMPOSE["redis"]["image"] == redis_service.IMAGE


@each_service
def test_image_has_the_extra_of_its_service(service: str) -> None:
    """Its build stage installs what the service's extra lists, checked against the lock."""
    stage = STAGES[f"build-{service}"]
    assert re.findall(r"--extra (\S+)", stage) == [service]
    assert service in PROJECT["optional-dependencies"]
    assert f"--extra {service} --constraints requirements.lock" in stage


@each_service
def test_image_starts_a_command_that_exists(service: str) -> None:
    """The entry point is in exec form, so that signals reach the service itself."""
    found = re.search(r"^ENTRYPOINT (\[.*\])$", STAGES[service], re.MULTILINE)
    assert found
    assert json.loads(found[1]) == [f"replog-{service}"]
    assert f"replog-{service}" in PROJECT["scripts"]


@each_service
def test_image_runs_as_nobody_in_particular(service: str) -> None:
    """The user is a number that is not root's."""
    found = re.search(r"^USER (\d+):\d+$", STAGES[service], re.MULTILINE)
    assert found
    assert int(found[1]) > 0


@each_service
def test_image_exposes_the_port_that_the_service_listens_on(service: str) -> None:
    port = {"collector": "REPLOG_COLLECTOR_PORT", "api": "REPLOG_API_PORT"}[service]
    assert f"EXPOSE {settings_of(service)[port]}\n" in STAGES[service]


@each_service
def test_image_sets_only_variables_that_the_service_reads(service: str) -> None:
    """A misspelt variable would be ignored in silence."""
    assert set(re.findall(r"REPLOG_\w+(?==)", STAGES[service])) <= settings_of(service).keys()
