"""The OpenAPI document: operations with all that they refer to. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from replog_api.contracts import schemas
from replog_api.contracts.openapi import errors
from replog_api.contracts.openapi.headers import HEADERS
from replog_api.contracts.openapi.operation import (
    EXPORTS,
    QUERIES,
    SERVICE,
    STREAMS,
    Export,
    Query,
    Service,
    Stream,
)
from replog_api.contracts.openapi.parameters import HEADERS as REQUEST_HEADERS
from replog_api.contracts.openapi.parameters import LAST_EVENT_ID
from replog_api.http.languages import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from replog_api.contracts.openapi.operation import Operation

_TITLE = Text("Execution records of repository replication", "仓库同步任务的执行日志")
_TEXT = Text(
    "Answers for tasks, their records (one run of a task) and their details (one thing that a run replicates to one "
    "remote cluster). It only reads.\n\n"
    "Every answer comes in one envelope of four keys: code, message, data and traceId. Look at the HTTP status "
    "first: an "
    "error is never 200. Times read yyyy-MM-ddTHH:mm:ss.SSS, without an offset, in the zone that X-BKREPO-Time-Zone "
    "names. "
    "Query parameters that are not named here are ignored; where one is given twice, the last counts. Only GET is "
    "answered (of /livez and /readyz HEAD, too); any other method gets 405. Where nothing is served, the answer "
    "is 404.",
    "查询任务、任务的执行日志（任务的一次执行）及其详情（一次执行同步到一个远程集群的一项内容）。只读。\n\n"
    "所有响应的外层结构相同，含四个键：code、message、data、traceId。请先看 HTTP 状态码：出错时绝不返回 200。"
    "时间格式为 "
    "yyyy-MM-ddTHH:mm:ss.SSS，不带偏移量，时区见响应头 X-BKREPO-Time-Zone。未在此列出的查询参数会被忽略；"
    "重复给出的参数以最后一个为准。"
    "仅响应 GET（/livez 和 /readyz 也响应 HEAD）；其他方法返回 405。不存在的 URL 返回 404。",
)
_TAGS = {
    QUERIES: Text("tasks, records and details", "任务、执行日志及其详情"),
    EXPORTS: Text("as files", "导出为文件"),
    STREAMS: Text("live, as Server-Sent Events", "实时事件流（Server-Sent Events）"),
    SERVICE: Text("the service itself; no token is needed", "服务自身；无需令牌"),
}
_BEARER = Text(
    "A token that the service's operator gave out, where it has any; it may be limited to tasks whose keys begin "
    "with a "
    "certain prefix. A service without tokens takes any, and none.",
    "服务运维人员发放的令牌（如果服务启用了令牌）；令牌可能仅限于 key 带有某一前缀的任务。未启用令牌的服务不检查令牌。",
)


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document of a service that has these ``operations``."""
    asked = [operation for operation in operations if isinstance(operation, Query | Export | Stream)]
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "replog",
            "summary": " / ".join(_TITLE),
            "description": _TEXT.in_both(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "version": "1",
        },
        "servers": [{"url": "/", "description": Text("the service that serves this", "提供本文档的服务").in_both()}],
        "tags": [{"name": tag, "description": text.in_both()} for tag, text in _TAGS.items()],
        "paths": {operation.path: _path_item(operation) for operation in operations},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER.in_both()}},
            "parameters": _parameters(asked),
            "headers": {name: header.described() for name, header in HEADERS.items()},
            "responses": {error.name: errors.described(error) for error in errors.SHARED},
            "schemas": _schemas(asked),
        },
    }


def _path_item(operation: Operation) -> dict[str, Any]:
    item = {"get": operation.described()}
    if isinstance(operation, Service) and "HEAD" in operation.methods:
        item["head"] = operation.described_without_body()
    return item


def _parameters(asked: Sequence[Query | Export | Stream]) -> dict[str, Any]:
    named = [parameter for operation in asked for parameter in operation.parameters]
    return {parameter.key: parameter.described() for parameter in (*named, *REQUEST_HEADERS, LAST_EVENT_ID)}


class _Schemas(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        """The name of a field is title enough."""
        return False


def _schemas(asked: Sequence[Query | Export | Stream]) -> dict[str, Any]:
    models: list[type[BaseModel]] = [*(model for operation in asked for model in _models(operation)), schemas.Refusal]
    _, found = models_json_schema(
        [(model, "serialization") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    return dict(found["$defs"])


def _models(operation: Query | Export | Stream) -> tuple[type[BaseModel], ...]:
    """What it answers."""
    match operation:
        case Query():
            return (_answer(operation),)
        case Export():
            return operation.row, operation.end
        case _:
            return (operation.data,)


def _answer(query: Query) -> type[BaseModel]:
    # As a class of its own: tools name what they generate by it.
    said = {"__doc__": query.summary.english, "chinese": query.summary.chinese, "__module__": __name__}
    envelope: Any = schemas.Answer
    answer: type[BaseModel] = type(query.answer, (envelope[query.data],), said)
    return answer
