"""Errors of the query service, each with a text of one sentence that says what to set or when to try again."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from replog.errors import FatalError, RecoverableError
from replog.settings import variable

if TYPE_CHECKING:
    from replog.settings import ClientSettings

_URL, _TOKEN = variable("api_url"), variable("api_token")
#: The code of an answer about a record that the service does not know, from docs/api.md.
UNKNOWN_RECORD_CODE = 250310
_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


class ApiRefused(FatalError):  # noqa: N818 - named as the state it reports
    """The service refuses this request whenever it is sent."""


class UnknownRecord(ApiRefused):
    """The service knows no record with this id."""


class ApiUnavailable(RecoverableError):  # noqa: N818 - named as the state it reports
    """The same request may succeed later; ``retry_after_s`` is set if the service named a time."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def error_of_answer(settings: ClientSettings, response: httpx.Response) -> ApiRefused | ApiUnavailable:
    """The error for an answer that is not 200. The body has been read."""
    body, service = _envelope(response), f"the query service at {settings.api_url}"
    message = str(body.get("message") or "no reason was given")
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return _unavailable(f"{service} got too many requests", response)
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unavailable(f"{service} cannot answer now ({message})", response)
    if body.get("code") == UNKNOWN_RECORD_CODE:
        return UnknownRecord(message)
    if not body:
        status = response.status_code
        return ApiRefused(f"{response.url} answered {status} and is no query service; set {_URL} to the address of one")
    return ApiRefused(_refusal(service, response.status_code, message, has_token=settings.api_token is not None))


def _refusal(service: str, status: int, message: str, *, has_token: bool) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED if has_token:
            return f"{service} does not accept the token in {_TOKEN}; set {_TOKEN} to one that it accepts"
        case HTTPStatus.UNAUTHORIZED:
            return f"{service} requires a token; set {_TOKEN} to one"
        case HTTPStatus.FORBIDDEN:
            return f"{service} does not let this token read that ({message}); set {_TOKEN} to one that may"
        case _:
            return f"{service} refused the request: {message}"


def error_of_transport(settings: ClientSettings, error: httpx.HTTPError | httpx.InvalidURL) -> ApiUnavailable:
    """The error for a request that got no complete answer."""
    service = f"the query service at {settings.api_url}"
    why = _ERROR_NUMBER.sub("", str(error)) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ApiUnavailable(
            f"{service} cannot be reached ({why}); set {_URL} to its address, or start one: replog up"
        )
    if isinstance(error, httpx.TimeoutException):
        return ApiUnavailable(f"{service} did not answer in time; try again later, or check {_URL}")
    return ApiUnavailable(f"the connection to {service} broke ({why}); try again")


def not_the_service(settings: ClientSettings, url: httpx.URL) -> ApiRefused:
    """The error for an answer of 200 that is not in the form of the query API."""
    return ApiRefused(
        f"{url} does not answer as a query service does; set {_URL} to the address of one, not {settings.api_url}"
    )


def _unavailable(problem: str, response: httpx.Response) -> ApiUnavailable:
    wait = response.headers.get("Retry-After", "")
    if wait.isascii() and wait.isdigit():
        return ApiUnavailable(f"{problem}; try again in {wait} s", float(wait))
    return ApiUnavailable(f"{problem}; try again later")


def _envelope(response: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) and "code" in body else {}
