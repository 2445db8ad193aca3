"""The examples in the OpenAPI document are what the service answers to the examples of their parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from replog_api.contracts.documents import openapi_json
from replog_api.contracts.openapi.examples import TRACEPARENT, enveloped
from replog_api.contracts.openapi.operation import Query
from replog_api.contracts.operations import OPERATIONS
from tests.support.api.examples import EVENTS
from tests.support.query_service import in_order

if TYPE_CHECKING:
    from tests.support.api.served import Serve

PATHS: dict[str, Any] = json.loads(openapi_json())["paths"]
QUERIES = [operation for operation in OPERATIONS if isinstance(operation, Query)]


def parameters(query: Query[Any], place: str, example: str) -> dict[str, Any]:
    """The parameters of a query in its path or query string that have an example of this name, or a documented one."""
    found = {}
    for parameter in PATHS[query.path]["get"]["parameters"]:
        if parameter.get("in") == place:
            values = parameter["examples"]
            found[parameter["name"]] = values.get(example, values.get("documented", {})).get("value")
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.operation_id)
async def test_an_example_is_answered(serve: Serve, query: Query[Any]) -> None:
    """Key for key, in this order."""
    service = await serve(*EVENTS)
    for name, data in query.examples.items():
        answer = await service.client.get(
            query.path.format(**parameters(query, "path", name)),
            params=parameters(query, "query", name),
            headers={"traceparent": TRACEPARENT},
        )
        assert in_order(answer.content) == in_order(json.dumps(enveloped(data)))
