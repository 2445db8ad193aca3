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
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from replog_api.http import messages
from replog_api.http.errors import WRONG_METHOD, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from importlib.resources.abc import Traversable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

#: The paths below ``/ui/`` at which the shell answers: the views.
VIEWS = ("", "tasks", "task", "record", "compare")
#: The types of the files that are served; other files of the folder are not.
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
#: The modules that the page names without a path.
IMPORTS = {"preact": "vendor/preact.mjs", "preact/hooks": "vendor/hooks.mjs"}
#: A year, the longest that caches are asked for.
KEPT = "public, max-age=31536000, immutable"
ASKED_ANEW = "no-cache"
_HASH_DIGITS = 16
_METHODS = ("GET", "HEAD")


class Page(NamedTuple):
    """What the page consists of; ``version`` is the hash of all assets."""

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
    version = _version(assets)
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


class PageRoute(Route):
    """A route of the page, which answers GET and HEAD, and refuses all else as the API does."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        method = scope["method"]
        if method not in _METHODS:
            allow = ", ".join(_METHODS)
            raise RefusedError(WRONG_METHOD, messages.wrong_method(method, allow), {"Allow": allow})
        await super().handle(scope, receive, send)


def page_routes() -> list[PageRoute]:
    """The routes of the page."""
    shell = [PageRoute(f"/ui/{view}", _shell) for view in VIEWS]
    assets = [PageRoute(f"/ui/assets/{page().version}/{name}", _asset_of(name)) for name in page().assets]
    return [PageRoute("/", _lead), PageRoute("/ui", _lead), *shell, *assets]


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


def _asset_of(name: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    content, media_type = page().assets[name], MEDIA_TYPES[_suffix(name)]

    async def asset(request: Request) -> Response:
        return Response(content, headers={"Cache-Control": KEPT}, media_type=media_type)

    return asset


def _read(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif _suffix(entry.name) in MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _version(assets: Mapping[str, bytes]) -> str:
    digest = sha256()
    for name, content in assets.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    return digest.hexdigest()[:_HASH_DIGITS]
