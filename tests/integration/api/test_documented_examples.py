"""The examples in the OpenAPI document are what the service answers to the examples of their parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from replog_api.contracts.openapi.examples import TRACEPARENT, enveloped
from replog_api.contracts.openapi.operation import Query
from replog_api.contracts.operations import OPERATIONS
from tests.support.api.examples import EVENTS
from tests.support.query_service import in_order

if TYPE_CHECKING:
    from replog_api.contracts.openapi.parameters import Parameter
    from tests.support.api.served import Serve

QUERIES = [operation for operation in OPERATIONS if isinstance(operation, Query)]


def value_of(parameter: Parameter, example: str) -> Any:
    """What a parameter is in an example of an answer."""
    return parameter.examples.get(example, parameter.examples.get("documented"))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.operation_id)
async def test_an_example_is_answered(serve: Serve, query: Query) -> None:
    """Key for key, in this order."""
    service = await serve(*EVENTS)
    for name, data in query.examples.items():
        path = {each.name: value_of(each, name) for each in query.parameters if each.place == "path"}
        asked = {each.name: value_of(each, name) for each in query.parameters if each.place == "query"}
        answer = await service.client.get(
            query.path.format(**path),
            params={key: value for key, value in asked.items() if value is not None},
            headers={"traceparent": TRACEPARENT},
        )
        assert in_order(answer.content) == in_order(json.dumps(enveloped(data)))
