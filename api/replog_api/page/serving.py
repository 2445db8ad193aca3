"""The web page over HTTP: its shell, its assets, and the redirects that lead to them.

Everything is read once and kept in memory. The path of the assets holds the hash of their content, so browsers keep
them for ever; the shell names that path and is asked for anew each time. All URLs are relative: the page works behind
a proxy that serves it under a prefix. Nothing here says anything of a task, so nothing asks for a token.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import RedirectResponse, Response

from replog_api.page.explorer import explorer_routes
from replog_api.page.static_files import ASKED_ANEW, MEDIA_TYPES, PageRoute, asset_routes, content_hash, suffix

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

#: The paths below ``/ui/`` at which the shell answers: the views.
VIEWS = ("", "tasks", "task", "record", "compare")
#: The modules that the page names without a path.
IMPORTS = {"preact": "vendor/preact.mjs", "preact/hooks": "vendor/hooks.mjs"}


class Page(NamedTuple):
    """Files of the page; ``version`` is the hash of all assets."""

    version: str
    assets: Mapping[str, bytes]
    shell: bytes
    #: The Content-Security-Policy of the shell.
    policy: str


@cache
def page() -> Page:
    """The page, as its files say."""
    folder = files(__package__) / "static"
    assets = dict(sorted(_read(folder, "")))
    version = content_hash(assets)
    base = f"assets/{version}"
    import_map = json.dumps({"imports": {name: f"./{base}/{path}" for name, path in IMPORTS.items()}})
    shell = (folder / "shell.html").read_text("utf-8")
    preloads = "\n".join(
        f'<link rel="modulepreload" href="{base}/{name}">' for name in assets if name.endswith((".js", ".mjs"))
    )
    for mark, text in {"{base}": base, "{import_map}": import_map, "{preloads}": preloads}.items():
        shell = shell.replace(mark, text)
    return Page(version, assets, shell.encode(), policy_of(import_map))


def policy_of(import_map: str) -> str:
    """The Content-Security-Policy of a shell with this import map, the one inline script that it allows."""
    digest = b64encode(sha256(import_map.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'sha256-{digest}'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def page_routes() -> list[PageRoute]:
    """The routes of the page, and of the API explorer."""
    shell = [PageRoute(f"/ui/{view}", _shell) for view in VIEWS]
    assets = asset_routes("/ui", page().version, page().assets)
    return [PageRoute("/", _lead), PageRoute("/ui", _lead), *shell, *assets, *explorer_routes()]


def page_paths() -> frozenset[str]:
    """The paths of those routes."""
    return frozenset(route.path for route in page_routes())


async def _lead(request: Request) -> Response:
    return RedirectResponse("ui/", headers={"Cache-Control": ASKED_ANEW})


async def _shell(request: Request) -> Response:
    headers = {
        "Cache-Control": ASKED_ANEW,
        "Content-Security-Policy": page().policy,
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return Response(page().shell, headers=headers, media_type="text/html; charset=utf-8")


def _read(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif suffix(entry.name) in MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
