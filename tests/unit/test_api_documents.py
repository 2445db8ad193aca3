"""The documents that the service serves: complete, true to themselves, and the same as the committed ones."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from starlette.routing import Route

from replog import letters, outcomes
from replog.errors import InvalidEventError
from replog.events import TYPES, parse
from replog.settings import ApiSettings, CollectorSettings, load
from replog_api.app import create_app
from replog_api.contracts import asyncapi
from replog_api.contracts.documents import CONTRACTS, asyncapi_json, openapi_json
from replog_api.contracts.openapi import errors
from replog_api.contracts.operations import OPERATIONS
from replog_api.http import errors as http_errors
from replog_api.http.errors import Problem
from replog_api.page.serving import page_paths
from tests.support.documentation import DOCS, fenced
from tests.support.strategies import Event, damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENAPI: dict[str, Any] = json.loads(openapi_json())
ASYNCAPI: dict[str, Any] = json.loads(asyncapi_json())
QUERIES = [path for path, item in OPENAPI["paths"].items() if "queries" in item["get"]["tags"]]

each_document = pytest.mark.parametrize("document", [OPENAPI, ASYNCAPI], ids=["OpenAPI", "AsyncAPI"])
each_query = pytest.mark.parametrize("path", QUERIES)


def objects(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a document with its place, but for what is inside of examples."""
    if isinstance(node, dict):
        yield place, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if key not in {"example", "examples"}:
            yield from objects(value, f"{place}/{key}")


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What an object points to, or the object itself."""
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/")]
        node = found
    return node


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Require that ``value`` is such as ``schema`` says."""
    whole = {**schema, "components": document["components"]}
    jsonschema_rs.validator_for(whole).validate(value)


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_committed_document_is_the_one_that_is_served(name: str) -> None:
    """Where it is not, ``make contracts`` writes it."""
    assert (DOCS / name).read_bytes() == CONTRACTS[name](), f"docs/{name} has drifted; run: make contracts"


@each_document
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = [node for _, node in objects(document) if "$ref" in node]
    assert references
    for node in references:
        assert resolved(document, node)


@each_document
def test_every_default_is_such_as_its_schema_says(document: dict[str, Any]) -> None:
    schemas = [node for _, node in objects(document) if "default" in node and node.keys() & {"type", "anyOf", "$ref"}]
    assert schemas
    for schema in schemas:
        check(document, schema, schema["default"])


@each_document
def test_every_component_is_a_valid_schema(document: dict[str, Any]) -> None:
    """By the rules of JSON Schema."""
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_served_route_is_described() -> None:
    """And everything that is described is served."""
    app: Any = create_app(load(ApiSettings))
    while not isinstance(app, FastAPI):
        app = app._app
    # The web page is for people.
    served = {route.path for route in app.routes if isinstance(route, Route)} - page_paths()
    assert sorted(served) == sorted(OPENAPI["paths"])


def test_everything_is_said_in_both_languages() -> None:
    """English first."""
    said = [
        (place, node["description"]) for place, node in objects(OPENAPI) if isinstance(node.get("description"), str)
    ]
    assert len(said) > 100
    for place, text in said:
        assert re.search("[A-Za-z].*[\u4e00-\u9fff]", text, re.DOTALL), place
    for path in OPENAPI["paths"]:
        assert re.search("[a-z].* / .*[\u4e00-\u9fff]|本文档", OPENAPI["paths"][path]["get"]["summary"]), path


def test_every_operation_has_a_name_of_its_own() -> None:
    """Tools name what they generate by it."""
    names = [operation.operation_id for operation in OPERATIONS]
    assert len({*names}) == len(names)


@each_query
def test_a_query_says_what_it_may_be_answered_with(path: str) -> None:
    """Every status, and the headers of each."""
    operation = OPENAPI["paths"][path]["get"]
    of_ids = ["404"] if "{" in path else []
    assert list(operation["responses"]) == [
        "200",
        "304",
        "400",
        "401",
        "403",
        *of_ids,
        "414",
        "421",
        "429",
        "431",
        "500",
        "503",
    ]
    assert operation["security"] == [{"bearer": []}]
    names = [resolved(OPENAPI, parameter)["name"] for parameter in operation["parameters"]]
    assert names[-4:] == ["X-BKREPO-TIME-ZONE", "Accept-Language", "If-None-Match", "traceparent"]
    for status, response in operation["responses"].items():
        headers = resolved(OPENAPI, response)["headers"]
        assert "X-BKREPO-Time-Zone" in headers
        assert ("ETag" in headers) == (status in {"200", "304"})
        assert ("Retry-After" in headers) == (status in {"429", "503"})
        assert ("Content-Language" in headers) == (int(status) >= 400)


def test_a_stream_says_what_it_may_be_answered_with() -> None:
    """As queries do, but that nobody asks whether it is another; its events have a schema."""
    (operation,) = [item["get"] for item in OPENAPI["paths"].values() if "streams" in item["get"]["tags"]]
    assert list(operation["responses"]) == [
        "200",
        "204",
        "400",
        "401",
        "403",
        "404",
        "414",
        "421",
        "429",
        "431",
        "500",
        "503",
    ]
    names = [resolved(OPENAPI, parameter)["name"] for parameter in operation["parameters"]]
    assert names[-4:] == ["X-BKREPO-TIME-ZONE", "Accept-Language", "Last-Event-ID", "traceparent"]
    content = operation["responses"]["200"]["content"]["text/event-stream"]
    for example in content["examples"].values():
        check(OPENAPI, content["schema"]["properties"]["data"]["contentSchema"], json.loads(example["value"]["data"]))


def test_the_document_has_the_whole_error_table() -> None:
    """Each line of http/errors.py, with its status and its code."""
    known = {value for value in vars(http_errors).values() if isinstance(value, Problem)}
    assert {error.problem for error in errors.TABLE} == known
    responses = [
        *((status, node) for item in OPENAPI["paths"].values() for status, node in item["get"]["responses"].items()),
        *((str(error.problem.status), OPENAPI["components"]["responses"][error.name]) for error in errors.SHARED),
    ]
    shown = {
        (int(status), code)
        for status, node in responses
        for content in resolved(OPENAPI, node).get("content", {}).values()
        for part in content["schema"].get("allOf", [])
        for code in part.get("properties", {}).get("code", {}).get("enum", [])
    }
    assert shown == {tuple(problem) for problem in known}


def test_bodies_are_closed() -> None:
    """So that an answer which has a field more or less than is said is found out."""
    for name, schema in OPENAPI["components"]["schemas"].items():
        assert schema["additionalProperties"] is False, name
        # What the end of a stream says alone.
        optional = {"reason"} if name == "Watched" else set()
        assert {*schema["properties"]} - {*schema["required"]} == optional, name


def test_examples_are_such_as_their_schemas_say() -> None:
    """Of parameters, headers and bodies; every query has an example of its answer."""
    found = 0
    for _, node in objects(OPENAPI):
        values = [example["value"] for example in node.get("examples", {}).values()] if "schema" in node else []
        for value in [*values, *([node["example"]] if "example" in node else [])]:
            check(OPENAPI, node["schema"], value)
            found += 1
    assert found > 50
    for path in QUERIES:
        assert OPENAPI["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["examples"]


def test_every_parameter_is_described_once_with_examples() -> None:
    """FastAPI repeats descriptions in schemas, and forgets the examples of fields that are declared otherwise."""
    parameters = [
        resolved(OPENAPI, parameter)
        for item in OPENAPI["paths"].values()
        for parameter in item["get"].get("parameters", [])
    ]
    assert {parameter["in"] for parameter in parameters} == {"path", "query", "header"}
    for parameter in parameters:
        assert parameter["description"], parameter["name"]
        assert parameter["examples"], parameter["name"]
        assert not {"title", "description"} & parameter["schema"].keys(), parameter["name"]


def test_the_document_has_nothing_of_fastapi_s_own() -> None:
    """Neither its error, nor titles that are names, nor bounds of integers as floats."""
    assert "422" not in openapi_json().decode()
    assert "ValidationError" not in openapi_json().decode()
    for name, schema in OPENAPI["components"]["schemas"].items():
        assert not [field for field, said in schema["properties"].items() if "title" in said], name
    floats: list[str] = []
    json.loads(openapi_json(), parse_float=floats.append)
    assert floats == []


def test_the_topics_have_their_usual_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a collector to which nothing else was said."""
    monkeypatch.delenv("REPLOG_KAFKA_TOPIC", raising=False)
    usual = load(CollectorSettings)
    addresses = [channel["address"] for channel in ASYNCAPI["channels"].values()]
    assert addresses == [usual.kafka_topic, usual.dead_letter_topic, usual.kafka_outcomes_topic]


def test_every_type_of_event_is_a_message() -> None:
    """With the fields of its struct, and an example that follows them."""
    messages = [
        resolved(ASYNCAPI, resolved(ASYNCAPI, message))
        for message in ASYNCAPI["channels"]["events"]["messages"].values()
    ]
    assert [message["name"] for message in messages] == list(TYPES)
    for message in messages:
        schema = resolved(ASYNCAPI, message["payload"])
        assert list(schema["properties"]) == ["type", *TYPES[message["name"]].__struct_encode_fields__]
        for example in message["examples"]:
            check(ASYNCAPI, message["payload"], example["payload"])
            assert example["payload"]["type"] == message["name"]


VALIDATORS = {
    name: jsonschema_rs.validator_for(
        {**ASYNCAPI["components"]["schemas"][of.__name__], "components": ASYNCAPI["components"]}
    )
    for name, of in TYPES.items()
}


@given(damaged())
@settings(max_examples=1000)
def test_the_document_and_the_collector_call_the_same_events_valid(event: Event) -> None:
    """But for what the document says in words: facts that are too long together, times at the ends of time."""
    validator = VALIDATORS.get(str(event.get("type")))
    wrong = refusal(event)
    if not (wrong and (wrong.reason == "too_large" or "within the years 1 to 9999 in UTC" in str(wrong))):
        assert (wrong is None) == (validator is not None and validator.is_valid(event)), wrong


def refusal(event: Event) -> InvalidEventError | None:
    """Why a collector does not take an event."""
    try:
        parse(json.dumps(event).encode())
    except InvalidEventError as error:
        return error
    return None


def test_examples_of_events_are_those_of_the_page() -> None:
    """Who reads one has read the other."""
    assert [parse(example.encode()) for example in fenced("events.md", "json")] == list(asyncapi.EXAMPLES)


def test_every_outcome_is_a_message_with_an_example() -> None:
    """One that the code makes, which names the status that the type stands for."""
    messages = [
        resolved(ASYNCAPI, resolved(ASYNCAPI, message))
        for message in ASYNCAPI["channels"]["outcomes"]["messages"].values()
    ]
    assert {message["name"] for message in messages} == outcomes.STATUS_OF.keys()
    for message in messages:
        (example,) = message["examples"]
        check(ASYNCAPI, message["headers"], example["headers"])
        check(ASYNCAPI, message["payload"], example["payload"])
        assert example["headers"].keys() == message["headers"]["properties"].keys()
        assert example["headers"]["ce_type"] == message["name"]
        assert example["payload"]["status"] == outcomes.STATUS_OF[message["name"]]


def test_the_example_of_an_outcome_is_that_of_the_page() -> None:
    (example,) = ASYNCAPI["components"]["messages"]["recordFailed"]["examples"]
    assert [json.loads(shown) for shown in fenced("outcomes.md", "json")] == [example["payload"]]


def test_a_dead_letter_says_why() -> None:
    """By the headers that a collector sends."""
    message = ASYNCAPI["components"]["messages"]["deadLetter"]
    headers = message["headers"]
    assert list(headers["properties"]) == [
        letters.REASON,
        letters.ERROR,
        letters.TOPIC,
        letters.PARTITION,
        letters.OFFSET,
        letters.DEAD_AT,
        letters.VERSION,
        letters.REPLAYS,
        letters.VALUE_BYTES,
        letters.CUT,
    ]
    for example in message["examples"]:
        check(ASYNCAPI, headers, example["headers"])
        assert example["headers"][letters.ERROR] == "type is unknown: 'record.paused'"


def test_operations_lead_to_messages_of_their_channel() -> None:
    """A collector receives all types of events, and sends dead letters and outcomes."""
    operations = ASYNCAPI["operations"].values()
    assert [operation["action"] for operation in operations] == ["receive", "send", "send"]
    for operation in operations:
        channel = resolved(ASYNCAPI, operation["channel"])
        sent = [resolved(ASYNCAPI, message)["name"] for message in operation["messages"]]
        assert sent == [resolved(ASYNCAPI, message)["name"] for message in channel["messages"].values()]
