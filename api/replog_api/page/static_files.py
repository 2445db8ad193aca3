"""Static files over HTTP: routes for GET and HEAD, and assets under the hash of their content, cached for ever."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from replog_api.http import messages
from replog_api.http.errors import WRONG_METHOD, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import TypeAlias

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    _Endpoint: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]

#: The types of the files that are served; other files of a folder are not.
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
#: A year, the longest that caches are asked for.
KEPT = "public, max-age=31536000, immutable"
ASKED_ANEW = "no-cache"
_HASH_DIGITS = 16
_METHODS = ("GET", "HEAD")


class PageRoute(Route):
    """A route that answers GET and HEAD, and refuses all other methods as the API does.

    Metrics count it as ``label``, or as its path.
    """

    def __init__(self, path: str, endpoint: _Endpoint, label: str = "") -> None:
        super().__init__(path, endpoint)
        self.label = label or path

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and leave the route in ``scope`` for the metrics."""
        scope["route"] = self
        method = scope["method"]
        if method not in _METHODS:
            allow = ", ".join(_METHODS)
            raise RefusedError(WRONG_METHOD, messages.wrong_method(method, allow), {"Allow": allow})
        await super().handle(scope, receive, send)


def asset_routes(path: str, version: str, assets: Mapping[str, bytes]) -> list[PageRoute]:
    """The routes ``{path}/assets/{version}/{name}`` of ``assets``, whose :func:`content_hash` is ``version``."""
    base, label = f"{path}/assets/{version}", f"{path}/assets/{{file}}"
    return [PageRoute(f"{base}/{name}", _asset_of(name, content), label) for name, content in assets.items()]


def content_hash(assets: Mapping[str, bytes]) -> str:
    """The hash of names and contents, for the path of the assets."""
    digest = sha256()
    for name, content in assets.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    return digest.hexdigest()[:_HASH_DIGITS]


def suffix(name: str) -> str:
    """The ending of a file's name, with its dot."""
    return name[name.rfind(".") :]


def _asset_of(name: str, content: bytes) -> _Endpoint:
    media_type = MEDIA_TYPES[suffix(name)]

    async def asset(request: Request) -> Response:
        return Response(content, headers={"Cache-Control": KEPT}, media_type=media_type)

    return asset
