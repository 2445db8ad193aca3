"""The API explorer as files: what it is made of, what it may load, and how it is cached."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from replog.settings import ApiSettings, load
from replog_api.app import create_app
from replog_api.page.explorer import OWN, POLICY, SWAGGER_UI, explorer, explorer_routes
from tests.support.api.tokens import TOKENS

ROOT = Path(__file__).parents[2]
FILES = Path(str(files("replog_api.page"))) / "explorer_files"


async def asked(
    path: str, method: str = "GET", headers: dict[str, str] | None = None, **settings: object
) -> httpx.Response:
    """The answer of a service that wants tokens and has no store."""
    app = create_app(load(ApiSettings, redis_url="redis://127.0.0.1:1/0", api_tokens=TOKENS, **settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_shell_needs_no_token_and_is_revalidated(method: str) -> None:
    answer = await asked("/docs", method)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers.get_list("cache-control") == ["no-cache"]
    assert answer.headers.get_list("content-security-policy") == [POLICY]
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await asked("/docs", method, {"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    assert (await asked("/docs", method, {"If-None-Match": 'W/"another"'})).status_code == 200


def test_the_policy_allows_no_inline_script_no_evaluation_and_no_other_origin() -> None:
    sources = {source for directive in POLICY.split("; ") for source in directive.split()[1:]}
    assert sources == {"'none'", "'self'", "data:"}
    assert "script-src 'self';" in POLICY
    assert "connect-src 'self';" in POLICY
    shell = explorer().shell.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)", shell) == []
    assert "<style" not in shell
    assert " style=" not in shell
    assert not re.search(r"\son\w+=", shell)


async def test_assets_are_kept_for_ever_under_the_hash_of_their_content() -> None:
    named = re.findall(r'(?:src|href)="(docs/[^"]+)"', explorer().shell.decode())
    assert {name.rpartition("/")[2] for name in named} == {*SWAGGER_UI, *OWN} == set(explorer().assets)
    for name in named:
        answer = await asked(f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith(("text/javascript", "text/css"))
        assert answer.content == explorer().assets[name.rpartition("/")[2]]


def test_everything_the_shell_names_is_relative() -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', explorer().shell.decode())
    assert [url for url in named if url.startswith("/") or ":" in url] == ["data:,"]


async def test_a_slash_at_the_end_leads_to_it() -> None:
    answer = await asked("/docs/")
    assert (answer.status_code, answer.headers["location"]) == (307, "../docs")


async def test_other_methods_are_refused_as_the_api_does() -> None:
    answer = await asked("/docs", "POST")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, 250112, "GET, HEAD")


async def test_it_is_switched_off_with_the_page() -> None:
    for route in explorer_routes():
        assert (await asked(route.path, api_page=False)).status_code in (401, 404), route.path


def test_swagger_ui_reads_this_version_of_openapi() -> None:
    """OpenAPI 3.1 came with version 5."""
    version = re.search(rb'PACKAGE_VERSION:"(\d+)\.', explorer().assets["swagger-ui-bundle.js"])
    assert version
    assert int(version[1]) >= 5


def test_the_wheel_has_its_files_and_asks_for_swagger_ui(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        (metadata,) = (name for name in inside if name.endswith(".dist-info/METADATA"))
        asked_for = archive.read(metadata).decode()
    assert {f"replog_api/page/explorer_files/{path.name}" for path in FILES.iterdir()} <= inside
    assert re.search(r"^Requires-Dist: fastapi-offline.*extra == 'api'", asked_for, re.MULTILINE)


def test_swagger_ui_brings_nothing_else_along() -> None:
    always = [requirement for requirement in requires("fastapi-offline") or [] if "extra ==" not in requirement]
    assert [re.split(r"[<>=~! ]", requirement)[0] for requirement in always] == ["fastapi"]
