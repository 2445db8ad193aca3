"""Refusals of the query service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.query_service import in_order

if TYPE_CHECKING:
    import httpx


def refused(answer: httpx.Response, status: int, code: int) -> str:
    """The message of a refusal, which has to have this status and code, and all four keys."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    envelope = in_order(answer.content)
    assert [key for key, _ in envelope] == ["code", "message", "data", "traceId"]
    body = dict(envelope)
    assert (body["code"], body["data"], len(body["traceId"])) == (code, None, 32)
    assert body["message"]
    return str(body["message"])
