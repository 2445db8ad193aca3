"""A record's stream: one connection at a time, opened again with a growing wait and the last event's id."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from random import uniform
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from replog_cli.client.api import record_path
from replog_cli.client.errors import ApiUnavailable
from replog_cli.client.sse import lines, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replog_cli.client.api import Api
    from replog_cli.client.sse import Message


@dataclass(frozen=True)
class State:
    """A state of the record: ``data`` is a Watched of docs/api.md, ``event`` is snapshot, change or end."""

    event: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Alive:
    """A heart-beat: the connection is open, and nothing has changed."""


@dataclass(frozen=True)
class Lost:
    """The connection broke, or could not be opened again; the next attempt is in ``wait_s`` seconds."""

    problem: str
    wait_s: float


News: TypeAlias = State | Alive | Lost


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts, in seconds: they double from ``first_s`` to ``longest_s``, each shortened at random."""

    first_s: float = 1.0
    longest_s: float = 30.0
    #: The least part of a wait that is left.
    least_part: float = 0.5

    def wait_s(self, attempt: int) -> float:
        """The wait before ``attempt``, counted from 0."""
        longest = min(self.longest_s, self.first_s * 2.0 ** min(attempt, 30))
        return longest * uniform(self.least_part, 1.0)  # noqa: S311 - no secrets


class RecordStream:
    """The stream of one record."""

    def __init__(self, api: Api, record_id: str, backoff: Backoff | None = None) -> None:
        self._api = api
        self._path = record_path("stream", record_id)
        self._backoff = backoff or Backoff()
        self._last_event_id = ""
        self._retry_s = 0.0
        self._ended = False

    def news(self) -> Iterator[News]:
        """Yield what is new until the stream ends in order. After a :class:`Lost` the next step waits.

        Raises:
            ApiRefused: the service refuses the stream, also when it is opened again.
            ApiUnavailable: the first connection fails; later ones are tried again without end.
        """
        attempt, connected = 0, False
        while not self._ended:
            try:
                for one in self._connection():
                    attempt, connected = 0, True
                    yield one
            except ApiUnavailable as error:
                if not connected:
                    raise
                wait_s = max(self._backoff.wait_s(attempt), self._retry_s, error.retry_after_s or 0.0)
                attempt += 1
                yield Lost(str(error), wait_s)
                time.sleep(wait_s)

    def _connection(self) -> Iterator[State | Alive]:
        headers = {"Last-Event-ID": self._last_event_id} if self._last_event_id else {}
        with self._api.answer(self._path, headers=headers) as response:
            # 204: this client has seen the end, and nothing came after it.
            self._ended = response.status_code == httpx.codes.NO_CONTENT
            for message in messages(lines(response.iter_bytes())):
                yield self._news_of(message)
        if not self._ended:
            raise ApiUnavailable("the query service closed the stream")

    def _news_of(self, message: Message) -> State | Alive:
        if message.retry_ms is not None:
            self._retry_s = message.retry_ms / 1000
        if not message.event:
            return Alive()
        self._last_event_id = message.id
        self._ended = message.event == "end"
        return State(message.event, json.loads(message.data))
