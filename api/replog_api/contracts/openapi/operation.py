"""What the document says of one operation: put together from its parts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replog_api.contracts.openapi import errors as table
from replog_api.contracts.openapi.examples import enveloped
from replog_api.contracts.openapi.headers import references
from replog_api.contracts.openapi.parameters import HEADERS, OF_A_STREAM
from replog_api.http.languages import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from replog_api.contracts.openapi.errors import Error
    from replog_api.contracts.openapi.parameters import Parameter

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Query:
    """A question about tasks, records or details; ``data`` is the type of the answer's data."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    data: Any
    parameters: tuple[Parameter, ...]
    errors: tuple[Error, ...]
    #: Data of answers, by name.
    examples: Mapping[str, Any]
    #: Headers of a good answer beside those that each has.
    headers: tuple[str, ...] = ()
    methods = ("GET",)
    tag = QUERIES

    @property
    def answer(self) -> str:
        """The name of its good answer among the schemas."""
        return "".join([part.capitalize() for part in self.operation_id.split("_")]) + "Answer"

    def described(self) -> dict[str, Any]:
        """As an Operation Object."""
        return {
            **_head(self),
            "security": [{"bearer": []}],
            "parameters": _references(*self.parameters, *HEADERS),
            "responses": {
                "200": self._good(),
                "304": NOT_MODIFIED,
                **table.responses((*self.errors, *self._errors_of_all())),
            },
        }

    def _errors_of_all(self) -> tuple[Error, ...]:
        # Another id is another URL, which may be none.
        return table.OF_EVERY_QUERY if "{" not in self.path else (*table.OF_EVERY_QUERY, table.UNKNOWN_URL)

    def _good(self) -> dict[str, Any]:
        return {
            "description": Text("the answer", "成功的响应").in_both(),
            "headers": references("ETag", "Vary", *self.headers),
            "content": {
                JSON: {
                    "schema": {"$ref": f"#/components/schemas/{self.answer}"},
                    "examples": {name: {"value": enveloped(data)} for name, data in self.examples.items()},
                }
            },
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Export:
    """Rows as a file: as CSV, or one ``row`` a line and ``end`` as the last one."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    row: type[BaseModel]
    end: type[BaseModel]
    parameters: tuple[Parameter, ...]
    errors: tuple[Error, ...]
    #: The file by its type.
    examples: Mapping[str, str]
    methods = ("GET",)
    tag = EXPORTS

    def described(self) -> dict[str, Any]:
        """As an Operation Object."""
        # OpenAPI 3.1 has no word for a line: x-line tells tools what one is.
        lines = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in (self.row, self.end)]
        schemas = {CSV: {"type": "string"}, LINES: {"type": "string", "x-line": {"anyOf": lines}}}
        content = {
            media: {"schema": schema, "examples": {"documented": {"value": self.examples[media]}}}
            for media, schema in schemas.items()
        }
        good = {
            "description": Text("the file", "导出的文件").in_both(),
            "headers": references("ETag", "Vary", "Content-Disposition"),
            "content": content,
        }
        return {
            **_head(self),
            "security": [{"bearer": []}],
            "parameters": _references(*self.parameters, *HEADERS),
            "responses": {
                "200": good,
                "304": NOT_MODIFIED,
                **table.responses((*self.errors, *table.OF_EVERY_QUERY, table.UNKNOWN_URL)),
            },
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """Server-Sent Events about what one parameter names; ``data`` is the model of each event's data."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    data: type[BaseModel]
    parameters: tuple[Parameter, ...]
    errors: tuple[Error, ...]
    events: tuple[str, ...]
    #: Events, by name.
    examples: Mapping[str, Any]
    methods = ("GET",)
    tag = STREAMS

    def described(self) -> dict[str, Any]:
        """As an Operation Object."""
        data = {"contentMediaType": JSON, "contentSchema": {"$ref": f"#/components/schemas/{self.data.__name__}"}}
        event = {
            "id": {"type": "string"},
            "event": {"type": "string", "enum": list(self.events)},
            "data": {"type": "string", **data},
        }
        # OpenAPI 3.1 has no word for one item of a stream; tools take the schema for that.
        schema = {"type": "object", "required": list(event), "properties": event, "additionalProperties": False}
        content = {"schema": schema, "examples": {name: {"value": value} for name, value in self.examples.items()}}
        return {
            **_head(self),
            "security": [{"bearer": []}],
            "parameters": _references(*self.parameters, *OF_A_STREAM),
            "responses": {
                "200": {
                    "description": Text(
                        f"events: the schema is that of one; its data is {self.data.__name__}, as one line of JSON",
                        f"事件流：此处结构为单个事件；其数据为一行 JSON，结构为 {self.data.__name__}",
                    ).in_both(),
                    "headers": references(),
                    "content": {EVENTS: content},
                },
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """Something about the service itself, for which nobody needs a token; ``media`` has the schema by media type."""

    path: str
    operation_id: str
    summary: Text
    text: Text
    media: Mapping[str, Any]
    #: When it is answered 503 instead, with why as text.
    unavailable: Text | None = None
    methods: tuple[str, ...] = ("GET",)
    tag = SERVICE

    def described(self) -> dict[str, Any]:
        """As an Operation Object."""
        content = {media: {"schema": schema} for media, schema in self.media.items()}
        good = {"description": self.summary.in_both(), "headers": references("Vary"), "content": content}
        responses = {"200": good, **table.responses((table.UNEXPECTED,))}
        if self.unavailable:
            responses["503"] = {
                "description": self.unavailable.in_both(),
                "headers": references(),
                "content": {PLAIN: {"schema": {"type": "string"}}},
            }
        return {**_head(self), "security": [], "responses": responses}

    def described_without_body(self) -> dict[str, Any]:
        """The operation for HEAD, as an Operation Object."""
        described = self.described()
        bare = {
            # An error is said by its status alone.
            status: {"description": response["description"], "headers": response["headers"]}
            for status, response in described["responses"].items()
            if "headers" in response
        }
        return described | {"operationId": f"{self.operation_id}_head", "responses": bare}


Operation = Query | Export | Stream | Service


def _references(*parameters: Parameter) -> list[dict[str, str]]:
    return [{"$ref": f"#/components/parameters/{parameter.key}"} for parameter in parameters]


def _head(operation: Operation) -> dict[str, Any]:
    return {
        "tags": [operation.tag],
        "operationId": operation.operation_id,
        "summary": " / ".join(operation.summary),
        "description": operation.text.in_both(),
    }
