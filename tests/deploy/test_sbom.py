"""The bill of materials: what the images install, at the versions and with the hashes of the lock."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("sbom") / "replog.cdx.json"
    subprocess.run(["/usr/bin/env", "make", "sbom", f"SBOM={path}"], cwd=ROOT, check=True, capture_output=True)
    made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return made


def locked() -> Iterator[tuple[str, str, set[str]]]:
    """Name, version and hashes of each package of the lock."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for name, version, rest in re.findall(r"^([a-z0-9._-]+)==(\S+)((?:.*\n(?=[ ]))*.*)", text, re.MULTILINE):
        yield name, version, set(re.findall(r"sha256:([0-9a-f]{64})", rest))


def test_it_is_about_this_project(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "replog")


def test_each_component_is_that_of_the_lock(bill: dict[str, Any]) -> None:
    versions = {name: (version, hashes) for name, version, hashes in locked()}
    for component in bill["components"]:
        references = component["externalReferences"]
        hashes = {one["content"] for reference in references for one in reference.get("hashes", ())}
        assert versions[component["name"]] == (component["version"], hashes)


def test_it_has_what_is_deployed_and_no_tools(bill: dict[str, Any]) -> None:
    names = {component["name"] for component in bill["components"]}
    assert {"aiokafka", "fastapi", "redis", "uvicorn", "msgspec", "opentelemetry-sdk", "protobuf"} <= names
    assert names.isdisjoint({"pytest", "mypy", "ruff", "playwright", "confluent-kafka", "cyclonedx-bom"})
