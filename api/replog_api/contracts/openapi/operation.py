"""The operations of the API: what each declares to FastAPI, and what the document says of it beside that. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.responses import JSONResponse, PlainTextResponse, Response

from replog_api.contracts import schemas
from replog_api.contracts.openapi import errors as table
from replog_api.contracts.openapi.examples import enveloped
from replog_api.contracts.openapi.headers import references
from replog_api.contracts.openapi.request_headers import OF_A_QUERY, OF_A_STREAM
from replog_api.http.languages import Text
from replog_api.http.query_values import QueryValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from replog_api.contracts.openapi.errors import Error

JSON, PLAIN, EVENTS = "application/json", "text/plain", "text/event-stream"
CSV, LINES = "text/csv", "application/x-ndjson"
#: How the document groups operations.
QUERIES, EXPORTS, STREAMS, SERVICE = "queries", "exports", "streams", "service"
NOT_MODIFIED = {
    "description": Text(
        "the client has the answer: one of the tags in If-None-Match is still good",
        "客户端已有此响应：If-None-Match 中的标签仍然有效",
    ).in_both(),
    "headers": references("ETag", "Vary"),
}
#: Every error has this body; it stands in for FastAPI's own 422 until the error table takes its place.
_ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": schemas.Refusal}}

Q = TypeVar("Q", bound=QueryValue)


class _Events(Response):
    """The media type of a stream, for FastAPI's document alone."""

    media_type = EVENTS


class _Lines(Response):
    """The media type of an export, likewise."""

    media_type = LINES


@dataclass(frozen=True, kw_only=True, eq=False)
class Query(Generic[Q]):
    """A query for tasks, records or details. ``query`` has its parameters, ``data`` is the type of the data."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    query: type[Q]
    data: Any
    errors: tuple[Error, ...]
    #: Data of answers, by name.
    examples: Mapping[str, Any]
    #: Headers of a good answer beside those that each has.
    headers: tuple[str, ...] = ()
    methods = ("GET",)
    tag = QUERIES

    @cached_property
    def answer(self) -> type[BaseModel]:
        """The model of its good answer, as a class of its own: tools name what they generate by it."""
        name = "".join([part.capitalize() for part in self.operation_id.split("_")]) + "Answer"
        said = {"__doc__": self.summary.english, "chinese": self.summary.chinese, "__module__": __name__}
        envelope: Any = schemas.Answer
        answer: type[BaseModel] = type(name, (envelope[self.data],), said)
        return answer

    def declared(self) -> dict[str, Any]:
        """Declaration of the answers for FastAPI."""
        return {
            "response_model": self.answer,
            "response_description": Text("the answer", "成功的响应").in_both(),
            "responses": _ERRORS,
        }

    def completed(self, described: dict[str, Any]) -> dict[str, Any]:
        """FastAPI's Operation Object with headers, examples and errors."""
        good = described["responses"]["200"]
        good["headers"] = references("ETag", "Vary", *self.headers)
        good["content"][JSON]["examples"] = {name: {"value": enveloped(data)} for name, data in self.examples.items()}
        return described | {
            "security": [{"bearer": []}],
            "parameters": described["parameters"] + [header.reference() for header in OF_A_QUERY],
            "responses": {
                "200": good,
                "304": NOT_MODIFIED,
                **table.responses((*self.errors, *self._errors_of_all())),
            },
        }

    def _errors_of_all(self) -> tuple[Error, ...]:
        # An id is part of the URL, and a wrong one may lead to no route.
        return table.OF_EVERY_QUERY if "{" not in self.path else (*table.OF_EVERY_QUERY, table.UNKNOWN_URL)


@dataclass(frozen=True, kw_only=True, eq=False)
class Export(Generic[Q]):
    """Rows as a file: as CSV, or one ``row`` a line and ``end`` as the last one. ``query`` has its parameters."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    query: type[Q]
    row: type[BaseModel]
    end: type[BaseModel]
    errors: tuple[Error, ...]
    #: The file by its type.
    examples: Mapping[str, str]
    methods = ("GET",)
    tag = EXPORTS

    def declared(self) -> dict[str, Any]:
        """Declaration of the answers for FastAPI."""
        return {
            "response_class": _Lines,
            "response_model": None,
            "response_description": Text("the file", "导出的文件").in_both(),
            "responses": {200: {"model": self.row | self.end}, **_ERRORS},
        }

    def completed(self, described: dict[str, Any]) -> dict[str, Any]:
        """FastAPI's Operation Object with the schema of a file, headers, examples and errors."""
        good = described["responses"]["200"]
        good["headers"] = references("ETag", "Vary", "Content-Disposition")
        # OpenAPI 3.1 has no word for a line: x-line tells tools what one is.
        lines = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in (self.row, self.end)]
        schemas = {CSV: {"type": "string"}, LINES: {"type": "string", "x-line": {"anyOf": lines}}}
        good["content"] = {
            media: {"schema": schema, "examples": {"documented": {"value": self.examples[media]}}}
            for media, schema in schemas.items()
        }
        return described | {
            "security": [{"bearer": []}],
            "parameters": described["parameters"] + [header.reference() for header in OF_A_QUERY],
            "responses": {
                "200": good,
                "304": NOT_MODIFIED,
                **table.responses((*self.errors, *table.OF_EVERY_QUERY, table.UNKNOWN_URL)),
            },
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream(Generic[Q]):
    """Server-Sent Events about one thing. ``query`` has its parameters, ``data`` is the model of an event's data."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    query: type[Q]
    data: type[BaseModel]
    errors: tuple[Error, ...]
    events: tuple[str, ...]
    #: Events, by name.
    examples: Mapping[str, Any]
    methods = ("GET",)
    tag = STREAMS

    def declared(self) -> dict[str, Any]:
        """Declaration of the answers for FastAPI."""
        text = Text(
            f"events: the schema is that of one; its data is {self.data.__name__}, as one line of JSON",
            f"事件流：此处结构为单个事件；其数据为一行 JSON，结构为 {self.data.__name__}",
        )
        return {
            "response_class": _Events,
            "response_model": None,
            "response_description": text.in_both(),
            "responses": {200: {"model": self.data}, **_ERRORS},
        }

    def completed(self, described: dict[str, Any]) -> dict[str, Any]:
        """FastAPI's Operation Object with the schema of an event, headers, examples and errors."""
        good = described["responses"]["200"]
        good["headers"] = references()
        good["content"][EVENTS] = {
            "schema": self._event(),
            "examples": {name: {"value": value} for name, value in self.examples.items()},
        }
        return described | {
            "security": [{"bearer": []}],
            "parameters": described["parameters"] + [header.reference() for header in OF_A_STREAM],
            "responses": {
                "200": good,
                "204": {
                    "description": Text(
                        "there is no more to come, and the client has seen the end",
                        "不再有新内容，且客户端已收到结束事件",
                    ).in_both(),
                    "headers": references("Vary"),
                },
                **table.responses((*self.errors, *table.OF_EVERY_QUERY, table.UNKNOWN_URL)),
            },
        }

    def _event(self) -> dict[str, Any]:
        # OpenAPI 3.1 cannot describe one item of a stream; tools take the schema for that.
        data = {"contentMediaType": JSON, "contentSchema": {"$ref": f"#/components/schemas/{self.data.__name__}"}}
        event = {
            "id": {"type": "string"},
            "event": {"type": "string", "enum": list(self.events)},
            "data": {"type": "string", **data},
        }
        return {"type": "object", "required": list(event), "properties": event, "additionalProperties": False}


@dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """An operation about the service itself, without token. ``media`` has the body's schema by media type."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    media: Mapping[str, Any]
    #: The case in which the answer is 503, with the reason as text.
    unavailable: Text | None = None
    methods: tuple[str, ...] = ("GET",)
    query = QueryValue
    tag = SERVICE

    def declared(self) -> dict[str, Any]:
        """Declaration of the answer for FastAPI."""
        return {
            "response_class": JSONResponse if JSON in self.media else PlainTextResponse,
            "response_model": None,
            "response_description": self.summary.in_both(),
        }

    def completed(self, described: dict[str, Any]) -> dict[str, Any]:
        """FastAPI's Operation Object with the body's schema, headers and errors."""
        good = described["responses"]["200"]
        good["headers"] = references("Vary")
        good["content"] = {media: {"schema": schema} for media, schema in self.media.items()}
        responses = {"200": good, **table.responses((table.UNEXPECTED,))}
        if self.unavailable:
            responses["503"] = {
                "description": self.unavailable.in_both(),
                "headers": references(),
                "content": {PLAIN: {"schema": {"type": "string"}}},
            }
        return described | {"security": [], "responses": responses}

    def without_body(self, completed: dict[str, Any]) -> dict[str, Any]:
        """The Operation Object for HEAD."""
        bare = {
            # An error has a status alone.
            status: {"description": response["description"], "headers": response["headers"]}
            for status, response in completed["responses"].items()
            if "headers" in response
        }
        return completed | {"operationId": f"{self.operation_id}_head", "responses": bare}


Operation = Query[Any] | Export[Any] | Stream[Any] | Service
