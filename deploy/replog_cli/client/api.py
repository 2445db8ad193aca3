"""Requests to the query service. All times in its answers are in UTC, because the client asks for that."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx

from replog.settings import ClientSettings, load
from replog_cli.client.errors import error_of_answer, error_of_transport, not_the_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

TASKS = "/replication/api/task"
RECORDS = f"{TASKS}/record"
#: Seconds allowed for connecting, and for each wait within an answer. Streams send something every 15 s.
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
#: Most rows that the service puts on one page.
MAX_PAGE_SIZE = 1000


class Api:
    """A connection to the query service that the settings name; use it with ``with``."""

    def __init__(self, settings: ClientSettings | None = None, *, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self.settings = settings or load(ClientSettings)
        token = self.settings.api_token
        headers = {"X-BKREPO-TIME-ZONE": "UTC", "Accept-Language": "en"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        self._client = httpx.Client(
            base_url=self.settings.api_url,
            headers=headers,
            timeout=httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def data(self, path: str, parameters: Mapping[str, str | int] | None = None) -> Any:
        """The ``data`` of an answer.

        Raises:
            ApiRefused: the service refuses the request, or the address is not that of a query service.
            ApiUnavailable: there is no answer now.
        """
        with self.answer(path, parameters) as response:
            content = response.read()
        try:
            return json.loads(content)["data"]
        except (ValueError, KeyError, TypeError):
            raise not_the_service(self.settings, response.url) from None

    def page(self, path: str, parameters: Mapping[str, str | int], limit: int) -> dict[str, Any]:
        """The first ``limit`` rows of a paged answer, as one page. Raises as :meth:`data` does."""
        size = min(limit, MAX_PAGE_SIZE)
        first = page = self.data(path, {**parameters, "pageNumber": 1, "pageSize": size})
        rows = list(page["records"])
        while len(rows) < min(limit, page["totalRecords"]) and page["records"]:
            page = self.data(path, {**parameters, "pageNumber": page["pageNumber"] + 1, "pageSize": size})
            rows += page["records"]
        return {**first, "pageSize": limit, "totalPages": -(-first["totalRecords"] // limit), "records": rows[:limit]}

    @contextmanager
    def answer(
        self,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """A successful answer, its body not read yet; raises as :meth:`data` does, also while the body is read."""
        try:
            url = httpx.URL(path).copy_merge_params(parameters or {})
            with self._client.stream("GET", url, headers=headers) as response:
                if not response.is_success:
                    response.read()
                    raise error_of_answer(self.settings, response)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise error_of_transport(self.settings, error) from error


def record_path(endpoint: str, entity_id: str) -> str:
    """The path, and the start of the query, of an endpoint below ``record``, such as ``detail/page``, for an id."""
    # No client can send these two in a path.
    of_the_id = f"?id={entity_id}" if entity_id in {".", ".."} else quote(entity_id, safe="")
    return "/".join((RECORDS, *filter(None, [endpoint]), of_the_id))
