"""The edge to a webhook: one POST, and what its answer means."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

import httpx
from cloudevents.core.bindings.http import to_structured_event

from replog_repair.notifying.signature import signature

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from cloudevents.core.base import BaseCloudEvent

#: Bytes read of an answer, so that the connection can be used again. A longer answer closes it.
ANSWER_BYTES = 64 * 1024
#: Longest wait that an answer may ask for, in seconds.
MOST_RETRY_AFTER_S = 3600.0
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_WITH_RETRY_AFTER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class Verdict(Enum):
    """Result of an attempt for the event."""

    DELIVERED = auto()
    #: The receiver does not take this event, whenever it is sent.
    REFUSED = auto()
    #: The same event may be taken later.
    LATER = auto()


class Attempt(NamedTuple):
    """The end of one attempt."""

    verdict: Verdict
    #: What happened, for logs.
    text: str
    #: Seconds after which the receiver asks to be called again; None where it does not say.
    retry_after_s: float | None = None


class Webhook:
    """Posts CloudEvents in structured mode to ``url``; opened and closed by ``async with``.

    ``key`` gives the key to sign with, or None. An attempt takes ``timeout_s`` at most. Redirects are not followed.
    """

    def __init__(
        self,
        url: str,
        *,
        key: Callable[[], bytes | None],
        timeout_s: float,
        clock: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._key = key
        self._timeout_s = timeout_s
        self._clock = clock
        self._client = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, event: BaseCloudEvent) -> Attempt:
        """Post ``event`` once."""
        message = to_structured_event(event)
        headers = {**message.headers, **self._signed(event.get_id(), message.body)}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", self._url, content=message.body, headers=headers) as response,
            ):
                await _read_some(response)
        except TimeoutError:
            return Attempt(Verdict.LATER, f"no answer in {self._timeout_s:g} s")
        except httpx.HTTPError as error:
            return Attempt(Verdict.LATER, str(error) or type(error).__name__)
        return self._judged(response)

    def _signed(self, message_id: str, body: bytes) -> dict[str, str]:
        timestamp_s, key = int(self._clock()), self._key()
        headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
        if key is not None:
            headers["webhook-signature"] = signature(key, message_id=message_id, timestamp_s=timestamp_s, body=body)
        return headers

    def _judged(self, response: httpx.Response) -> Attempt:
        status, text = response.status_code, f"HTTP {response.status_code}"
        if response.is_success:
            return Attempt(Verdict.DELIVERED, text)
        if response.is_server_error or status in _LATER:
            asked = response.headers.get("retry-after") if status in _WITH_RETRY_AFTER else None
            return Attempt(Verdict.LATER, text, asked and self._seconds(asked))
        return Attempt(Verdict.REFUSED, text)

    def _seconds(self, retry_after: str) -> float | None:
        """The seconds that a ``Retry-After`` asks for, as a number or as a date; None where it is neither."""
        if retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after), MOST_RETRY_AFTER_S)
        try:
            at = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        left_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - self._clock()
        return min(max(0.0, left_s), MOST_RETRY_AFTER_S)


async def _read_some(response: httpx.Response) -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > ANSWER_BYTES:
            return


def checked_url(url: str) -> str:
    """``url``, where it is one that can be posted to.

    Raises:
        ValueError: it is not; the text says what is allowed.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        whole = False
    if not whole or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("http:// or https:// and a host, with a port, a path and a query if needed")
    return url


def is_exposed(url: str) -> bool:
    """Whether posts to ``url`` can be read on their way: without TLS, to another machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"


def shown_url(url: str) -> str:
    """``url`` for logs: without user, password and query, any of which may be a secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path}"
