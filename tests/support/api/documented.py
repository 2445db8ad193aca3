"""Checks of answers against the OpenAPI document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import schemathesis
from schemathesis.specs.openapi import checks

from replog_api.contracts.documents import openapi_json

if TYPE_CHECKING:
    import httpx

    from replog_api.contracts.openapi.operation import Query, Stream

    AnyQuery = Query[Any] | Stream[Any]

DOCUMENT: dict[str, Any] = json.loads(openapi_json())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CONFORMANCE = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def is_documented(answer: httpx.Response, status: int, query: AnyQuery) -> None:
    """Require an answer with this status that is one of those that the document names for the query."""
    assert answer.status_code == status, answer.text
    case = SCHEMA[query.path]["GET"].Case(path_parameters={"key": "x", "recordId": "x"})
    case.validate_response(answer, checks=CONFORMANCE)
