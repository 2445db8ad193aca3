"""What the gate says of answers whose data may come from a store that was started anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgpack
import pytest

from replog.errors import StoreUnavailable
from replog_api.admission.auth import Tokens
from replog_api.admission.limits import RateLimit
from replog_api.admission.proxies import Proxies
from replog_api.http.as_of import Freshness, header_of
from replog_api.http.store_trouble import StoreTrouble
from replog_api.middleware import AS_OF_HEADER, RequestMiddleware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Message, Receive, Scope, Send

    from replog.store.client.command import Command

SCOPE: dict[str, Any] = {
    "type": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [],
    "client": None,
}
TOLD_MS = 1000


class Store:
    prefix = "p"
    epoch = 1

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        return [{b"g:t": msgpack.packb([0, [TOLD_MS]])}] * len(calls)


class Answer:
    """An application whose store is started anew before its head, or between two parts of its body."""

    def __init__(self, *, kind: bytes, before_head: bool = False, in_body: bool = False) -> None:
        self.store = Store()
        self._kind = kind
        self._before_head = before_head
        self._in_body = in_body
        self.sent: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.store.epoch += self._before_head
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self._kind)]})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        self.store.epoch += self._in_body
        await send({"type": "http.response.body", "body": b"2", "more_body": False})

    async def given(self) -> Answer:
        middleware = RequestMiddleware(
            self,
            freshness=Freshness(self.store, lambda: 0.0),
            zone=ZoneInfo("UTC"),
            tokens=Tokens(()),
            limit=RateLimit(0, lambda: 0.0),
            proxies=Proxies(),
            trouble=StoreTrouble(lambda: 0.0),
        )

        async def receive() -> Message:
            raise AssertionError("nothing is asked of the client")

        async def send(message: Message) -> None:
            self.sent.append(message)

        await middleware(dict(SCOPE), receive, send)
        return self

    @property
    def as_of(self) -> bytes:
        return bytes(dict(self.sent[0]["headers"])[AS_OF_HEADER])


async def test_an_answer_is_as_of_the_time_that_was_read_before_it() -> None:
    answer = await Answer(kind=b"application/json").given()
    assert answer.as_of == header_of(TOLD_MS)


async def test_one_whose_store_was_started_anew_meanwhile_is_as_of_no_time() -> None:
    answer = await Answer(kind=b"application/json", before_head=True).given()
    assert answer.as_of == header_of(0)


async def test_a_list_is_cut_off_where_the_rest_of_it_may_be_older_than_its_head_says() -> None:
    answer = Answer(kind=b"application/json", in_body=True)
    with pytest.raises(StoreUnavailable):
        await answer.given()
    assert [message.get("body") for message in answer.sent] == [None, b"1"]


async def test_a_stream_goes_on() -> None:
    answer = await Answer(kind=b"text/event-stream", in_body=True).given()
    assert [message.get("body") for message in answer.sent] == [None, b"1", b"2"]
