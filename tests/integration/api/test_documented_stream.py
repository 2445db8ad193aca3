"""A stream is what the OpenAPI document says of it: schemathesis would wait for its end."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import jsonschema_rs

from replog_api.contracts.operations import STREAM
from replog_api.http.query_values import RECORD_ID
from tests.support.api.documented import DOCUMENT, is_documented
from tests.support.api.examples import EVENTS

if TYPE_CHECKING:
    from tests.support.api.served import Serve


async def test_a_stream_is_as_documented(serve: Serve) -> None:
    """From the snapshot to the end, and that there is no more for who has seen it."""
    service = await serve(*EVENTS)
    path = STREAM.path.format(recordId=RECORD_ID)
    answer = await service.client.get(path)
    is_documented(answer, 200, STREAM)
    found = re.findall("^id: (.*)\nevent: (.*)\ndata: (.*)$", answer.text, re.MULTILINE)
    assert [kind for _, kind, _ in found] == ["snapshot", "end"]
    schema = {"$ref": "#/components/schemas/Watched", "components": DOCUMENT["components"]}
    for _, kind, data in found:
        jsonschema_rs.validate(schema, json.loads(data))
        assert ("reason" in json.loads(data)) == (kind == "end")
    assert found[-1][1:] == (STREAM.examples["documented"]["event"], STREAM.examples["documented"]["data"])
    again = await service.client.get(path, headers={"Last-Event-ID": found[-1][0]})
    is_documented(again, 204, STREAM)
    assert again.content == b""
