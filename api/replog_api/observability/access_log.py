"""The access log: a line for each request, if the setting asks for it. No line has a token, a header or a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from replog_api.admission.proxies import Proxies
    from replog_api.http.request_context import RequestContext

#: Most characters of a path that are logged. An id has at most a few hundred, and an attacker's path 32 KiB.
MAX_PATH = 512


class AccessLog:
    """Writes the lines. The client of a request is its address, as ``proxies`` forward it."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def write(
        self, scope: MutableMapping[str, Any], context: RequestContext, *, route: str, status: int, duration_s: float
    ) -> None:
        """Log a request that has ended; ``duration_s`` is from its head to the end of its answer."""
        peer = scope.get("client")
        logger().info(
            "request_answered",
            method=scope["method"],
            route=route,
            path=scope["path"][:MAX_PATH],
            status=status,
            duration_s=round(duration_s, 6),
            client=self._proxies.client(peer[0], scope["headers"]) if peer else None,
            token=context.token or None,
            trace_id=context.trace_id,
        )
