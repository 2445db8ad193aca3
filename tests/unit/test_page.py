"""The web page as files: what is vendored, what it may load, how it is kept, its colours and its words."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import httpx
import pytest
from starlette.applications import Starlette

from replog.settings import ApiSettings, load
from replog_api.app import create_app
from replog_api.page.explorer import explorer
from replog_api.page.serving import VIEWS, page, page_paths, page_routes
from tests.support.api.tokens import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
STATIC = Path(str(files("replog_api.page"))) / "static"
VENDOR = STATIC / "vendor"
#: WCAG 2.2: text, and what is no text but is to be seen.
TEXT, GRAPHIC = 4.5, 3.0
WORDS = ("text", "muted", "success", "failed", "running", "silent")
BARS = ("success-bar", "failed-bar", "running-bar", "edge")
GROUNDS = ("ground", "raised", "tint-failed", "tint-silent", "tint-running")
#: What the module of an import is: a name of the import map, or a path.
IMPORT = re.compile(r'^(?:import|export) .*?from "([^"]+)";', re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def asked(path: str, method: str = "GET") -> httpx.Response:
    """What the page's routes answer, without the service around them."""
    transport = httpx.ASGITransport(Starlette(routes=page_routes()))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def test_what_is_vendored_is_what_the_lock_names() -> None:
    lock = json.loads((VENDOR / "lock.json").read_text("utf-8"))
    named = {name: entry["sha256"] for package in lock.values() for name, entry in package["files"].items()}
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir() if path.name != "lock.json"}
    assert found == named
    assert all(re.fullmatch("[0-9a-f]{64}", package["tarballSha256"]) for package in lock.values())
    assert "MIT" in (VENDOR / "LICENSE.txt").read_text("utf-8")


def test_its_types_are_checked_against_the_version_that_is_vendored() -> None:
    lock = json.loads((VENDOR / "lock.json").read_text("utf-8"))
    wanted = json.loads((ROOT / "tests/page_types/package.json").read_text("utf-8"))["devDependencies"]
    assert wanted["preact"] == lock["preact"]["version"]


def test_every_import_is_served() -> None:
    modules = {name: text.decode() for name, text in page().assets.items() if name.endswith(".js")}
    for name, text in modules.items():
        for imported in IMPORT.findall(text):
            if imported in ("preact", "preact/hooks"):
                continue
            target = (STATIC / name).parent.joinpath(imported).resolve().relative_to(STATIC)
            assert str(target) in page().assets, f"{name} imports {imported}"


def test_every_module_is_imported() -> None:
    imported = {"main.js"}
    for name, text in page().assets.items():
        if name.endswith(".js"):
            targets = IMPORT.findall(text.decode()) + re.findall(r'import\("([^"]+)"\)', text.decode())
            imported |= {
                str((STATIC / name).parent.joinpath(target).resolve().relative_to(STATIC))
                for target in targets
                if target.startswith(".")
            }
    assert {name for name in page().assets if name.endswith(".js")} == imported


def test_the_policy_allows_the_one_inline_script_and_no_other() -> None:
    shell = page().shell.decode()
    inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", shell, re.DOTALL)
    assert len(inline) == 1
    digest = b64encode(sha256(inline[0].encode()).digest()).decode()
    assert page().policy == (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert " style=" not in shell
    assert not re.search(r"\son\w+=", shell)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("view", VIEWS)
def test_the_shell_is_asked_for_anew_each_time(view: str, method: str) -> None:
    answer = asked(f"/ui/{view}", method)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == page().policy
    assert answer.headers["content-length"] == str(len(page().shell))


def test_assets_are_kept_for_ever_under_the_hash_of_their_content() -> None:
    names = re.findall(r'(?:src|href)="(assets/[^"]+)"', page().shell.decode())
    assert len(names) > len(page().assets) // 2
    for name in names:
        answer = asked(f"/ui/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.content == page().assets[name.split("/", 2)[2]]


def test_everything_the_shell_names_is_relative() -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', page().shell.decode())
    mapped = json.loads(re.findall(r"<script type=\"importmap\">(.*?)</script>", page().shell.decode())[0])["imports"]
    assert not [url for url in (*named, *mapped.values()) if url.startswith("/") or ":" in url]


@pytest.mark.parametrize("path", ["/", "/ui"])
def test_the_root_leads_to_it_wherever_a_proxy_puts_it(path: str) -> None:
    answer = asked(path)
    assert answer.status_code == 307
    assert answer.headers["location"] == "ui/"


async def served(path: str, method: str = "GET", **settings: object) -> httpx.Response:
    """What the whole service answers; there is no store, and nothing here needs one."""
    app = create_app(load(ApiSettings, redis_url="redis://127.0.0.1:1/0", **settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path)


async def test_other_methods_are_refused_as_the_api_does() -> None:
    answer = await served("/ui/", "POST")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, 250112, "GET, HEAD")


async def test_it_needs_no_token_and_its_policy_is_the_only_one() -> None:
    for path in sorted(page_paths()):
        assert (await served(path, api_tokens=TOKENS)).status_code in (200, 307), path
    shell = await served("/ui/", api_tokens=TOKENS)
    assert shell.headers.get_list("content-security-policy") == [page().policy]
    assert shell.headers["x-content-type-options"] == "nosniff"
    assert shell.headers["referrer-policy"] == "no-referrer"
    assert shell.headers.get_list("cache-control") == ["no-cache"]


@pytest.mark.parametrize("path", ["/ui/nowhere", "/ui/assets/0000000000000000/main.js", "/ui/shell.html"])
async def test_what_it_does_not_have_is_the_apis_404(path: str) -> None:
    answer = await served(path)
    assert (answer.status_code, answer.json()["code"]) == (404, 250130)


async def test_metrics_count_its_views_and_its_files() -> None:
    (asset,) = re.findall(r'src="(assets/[^"]+)"', page().shell.decode())
    for path in ("/ui/", "/ui/tasks", f"/ui/{asset}", f"/docs/assets/{explorer().version}/start.js"):
        assert (await served(path)).status_code == 200
    counted = re.findall(r'replog_http_requests_total\{route="([^"]+)"', (await served("/metrics")).text)
    assert {"/ui/", "/ui/tasks", "/ui/assets/{file}", "/docs/assets/{file}"} <= set(counted)
    assert not [route for route in counted if page().version in route or explorer().version in route]


async def test_it_can_be_switched_off() -> None:
    for path in ("/", "/ui/", "/ui/tasks", "/docs"):
        answer = await served(path, api_page=False)
        assert (answer.status_code, answer.json()["code"]) == (404, 250130), path


def tokens_of(css: str, theme: str) -> dict[str, str]:
    """The colours of a theme, by their names."""
    start = css.index(":root {") if theme == "light" else css.index(':root[data-theme="dark"] {')
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css[start : css.index("}", start)]))


def luminance(colour: str) -> float:
    """The relative luminance of WCAG."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_can_be_read(theme: str) -> None:
    colours = tokens_of((STATIC / "page.css").read_text("utf-8"), theme)
    faint = {
        (name, ground): round(contrast(colours[name], colours[ground]), 2)
        for names, least in ((WORDS, TEXT), (BARS, GRAPHIC))
        for name in names
        for ground in (GROUNDS if names is WORDS else GROUNDS[:1])
        if contrast(colours[name], colours[ground]) < least
    }
    assert faint == {}
    assert contrast(colours["on-running"], colours["running"]) >= TEXT


def test_the_dark_colours_are_the_same_by_choice_and_by_the_system() -> None:
    css = (STATIC / "page.css").read_text("utf-8")
    start = css.index(':root:not([data-theme="light"]) {')
    by_system = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css[start : css.index("}", start)]))
    assert by_system == tokens_of(css, "dark")
    assert set(by_system) == set(tokens_of(css, "light"))


def test_colours_are_named_only_as_tokens() -> None:
    css = (STATIC / "page.css").read_text("utf-8")
    rules = css[css.index("*, ::before") :]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?!\")", rules) == []


def words_of(language: str) -> dict[str, str]:
    """The texts of a language, by key."""
    return dict(
        re.findall(r'^  "([\w.]+)": "(.*)",$', (STATIC / f"i18n/{language}.js").read_text("utf-8"), re.MULTILINE)
    )


def test_both_languages_say_the_same_things() -> None:
    english, chinese = words_of("en"), words_of("zh")
    assert len(english) > 100
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(chinese[key])), key


def test_no_word_is_without_use() -> None:
    modules = "".join(
        text.decode() for name, text in page().assets.items() if name.endswith(".js") and "i18n" not in name
    )
    dynamic = set(re.findall(r"t\(`([\w.]+\.)\$\{", modules))
    unused = [key for key in words_of("en") if f'"{key}"' not in modules and not any(map(key.startswith, dynamic))]
    assert unused == []


def _names(wheel: Path) -> Iterator[str]:
    with ZipFile(wheel) as archive:
        yield from archive.namelist()


def test_the_wheel_has_every_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(_names(wheel))
    wanted = {f"replog_api/page/static/{path.relative_to(STATIC)}" for path in STATIC.rglob("*") if path.is_file()}
    assert wanted - inside == set()
