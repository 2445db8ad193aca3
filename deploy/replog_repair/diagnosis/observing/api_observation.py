"""Observes the query service: whether it is ready, its version, and its clock."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx

from replog.errors import RecoverableError
from replog_repair.diagnosis.observations import ApiObservation
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from replog.settings import ClientSettings

_VERSION = re.compile(r'^replog_build_info\{.*\bversion="([^"]+)"', re.MULTILINE)
#: Half of what the header Date rounds off.
_HALF_S = 0.5


class ApiUnreachable(RecoverableError):  # noqa: N818 - named as the state it reports
    """The query service does not answer."""


async def observe_api(settings: ClientSettings, *, answer_timeout_s: float) -> ApiObservation:
    """The answers of the query service, at paths that need no token. Raises ApiUnreachable where that is nothing."""
    url = settings.api_url
    async with httpx.AsyncClient(base_url=url, timeout=answer_timeout_s) as client:
        try:
            before_s = time.time()
            ready = await client.get("/readyz")
            now_s = (before_s + time.time()) / 2
            metrics = await client.get("/metrics")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiUnreachable(f"{url}: {str(error) or type(error).__name__}") from error
    first_line = next(iter(ready.text.splitlines()), "")
    return ApiObservation(url, ready.status_code, first_line[:100], _version_of(metrics), _ahead_s(ready, now_s))


def _version_of(metrics: httpx.Response) -> str | Unknown:
    found = _VERSION.search(metrics.text)
    if found:
        return found[1]
    return Unknown("refused", f"{metrics.url} answers {metrics.status_code}, without replog_build_info")


def _ahead_s(response: httpx.Response, now_s: float) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp() + _HALF_S - now_s
    except (KeyError, ValueError):
        return None
