"""The API explorer at ``/docs``: Swagger UI, from the files of the package ``fastapi-offline``, over ``openapi.json``.

Like the web page it needs no token, no other server and no fixed prefix, and its policy allows no inline script. Our
own files are the shell and the script that starts Swagger UI.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import RedirectResponse, Response

from replog_api.http import etags
from replog_api.page.static_files import ASKED_ANEW, PageRoute, asset_routes, content_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

PATH = "/docs"
#: Files of Swagger UI in ``fastapi_offline/static``, and ours in ``explorer_files``.
SWAGGER_UI = ("swagger-ui-bundle.js", "swagger-ui.css")
OWN = ("explorer.css", "start.js")
#: The Content-Security-Policy of the shell. The style sheet of Swagger UI has its images as ``data:`` URLs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Explorer(NamedTuple):
    """The files of the explorer; ``version`` is the hash of the assets."""

    version: str
    assets: Mapping[str, bytes]
    shell: bytes
    #: The entity tag of the shell.
    tag: str


@cache
def explorer() -> Explorer:
    """The explorer, read from its files once."""
    swagger_ui, own = files("fastapi_offline") / "static", files(__package__) / "explorer_files"
    assets = {name: (swagger_ui / name).read_bytes() for name in SWAGGER_UI}
    assets |= {name: (own / name).read_bytes() for name in OWN}
    version = content_hash(assets)
    # Relative to /docs, which has no slash at its end.
    shell = (own / "shell.html").read_text("utf-8").replace("{base}", f"docs/assets/{version}").encode()
    return Explorer(version, assets, shell, f'W/"{sha256(shell).hexdigest()[:16]}"')


def explorer_routes() -> list[PageRoute]:
    """The routes of the explorer."""
    shell = [PageRoute(PATH, _shell), PageRoute(f"{PATH}/", _lead)]
    return [*shell, *asset_routes(PATH, explorer().version, explorer().assets)]


async def _lead(request: Request) -> Response:
    return RedirectResponse("../docs", headers={"Cache-Control": ASKED_ANEW})


async def _shell(request: Request) -> Response:
    headers = {"Cache-Control": ASKED_ANEW, "Content-Security-Policy": POLICY, "ETag": explorer().tag}
    if etags.names(request.headers.get("if-none-match", ""), explorer().tag):
        return Response(status_code=304, headers=headers)
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return Response(explorer().shell, headers=headers, media_type="text/html; charset=utf-8")
