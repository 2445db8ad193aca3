"""The OpenAPI document: operations with all that they refer to. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from replog_api.contracts.openapi import errors
from replog_api.contracts.openapi.headers import HEADERS
from replog_api.contracts.openapi.operation import EXPORTS, QUERIES, SERVICE, STREAMS, Service
from replog_api.contracts.openapi.request_headers import OF_A_QUERY, OF_A_STREAM
from replog_api.contracts.openapi.route import OperationRoute
from replog_api.http.languages import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """The document of a service that has these ``operations``: FastAPI's, completed from the tables."""
    declared = get_openapi(
        title="replog",
        version="1",
        summary=" / ".join(_TITLE),
        description=_TEXT.in_both(),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/", "description": Text("the service that serves this", "提供本文档的服务").in_both()}],
        tags=[{"name": tag, "description": text.in_both()} for tag, text in _TAGS.items()],
        routes=[OperationRoute(operation) for operation in operations],
    )
    # FastAPI makes floats of the bounds of integers.
    declared = json.loads(json.dumps(declared), parse_float=_bound)
    return {
        "openapi": declared["openapi"],
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": declared["info"],
        "servers": declared["servers"],
        "tags": declared["tags"],
        "paths": {operation.path: _path_item(operation, declared["paths"]) for operation in operations},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _BEARER.in_both()}},
            "parameters": {header.name: header.described() for header in (*OF_A_QUERY, *OF_A_STREAM)},
            "headers": {name: header.described() for name, header in HEADERS.items()},
            "responses": {error.name: errors.described(error) for error in errors.SHARED},
            "schemas": {name: _untitled(schema) for name, schema in declared["components"]["schemas"].items()},
        },
    }


def _path_item(operation: Operation, paths: dict[str, Any]) -> dict[str, Any]:
    described = paths[operation.path]["get"]
    for parameter in described.get("parameters", []):
        for said_already in ("title", "description"):
            parameter["schema"].pop(said_already, None)
    item = {"get": operation.completed(described)}
    if isinstance(operation, Service) and "HEAD" in operation.methods:
        item["head"] = operation.without_body(item["get"])
    return item


def _bound(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without titles of its fields: their names are title enough."""
    for field in schema["properties"].values():
        field.pop("title", None)
    return schema
