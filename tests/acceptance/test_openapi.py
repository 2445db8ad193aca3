"""The query service answers as its OpenAPI document says, whatever it is asked: by schemathesis, with all its checks.

Of its checks only those about resources that are made and removed do not apply: the service only reads.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import defaultdict
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from replog_api.contracts.documents import openapi_json
from replog_api.contracts.operations import STREAM
from replog_api.http.errors import INVALID_REQUEST, UNKNOWN_RECORD
from replog_api.http.query_values import RECORD_ID
from tests.support import streams
from tests.support.api.examples import EVENTS
from tests.support.query_service import write
from tests.support.services.redis import remove_keys
from tests.support.system import API, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case, CheckContext, CheckFunction, Response

SEED = 20210512
#: Random questions for each operation, beside those that are the same always: examples, and the edges of each schema.
QUESTIONS = 25
#: Longest URL that is read at all, to be answered that it is too long; thousands of keys make longer ones.
MOST_URL = 65_000
SECRET = "of-schemathesis"  # noqa: S105 - nobody else has it
HEADERS = {"Authorization": f"Bearer {SECRET}"}
CONFIG = {
    "seed": SEED,
    # Who asks is told by the test; what a stranger gets is asked by the check `ignored_auth`.
    "generation": {"deterministic": True, "max-examples": QUESTIONS, "with-security-parameters": False},
    "checks": {
        # A URL has its limit, whatever it asks: 200 keys that are percent-encoded may need more.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "304", "414"]},
        "negative_data_rejection": {"expected-statuses": ["400", "414"]},
    },
    "phases": {"stateful": {"enabled": False}},
    # Half of all questions are about what is stored.
    "dictionaries": {"ids": {"values": [*streams.AWKWARD_IDS, RECORD_ID]}},
    "parameters": {name: {"dictionary": "ids", "probability": 0.5} for name in ("path.key", "path.recordId")},
}

document = schemathesis.openapi.from_dict(json.loads(openapi_json()), config=schemathesis.Config.from_dict(CONFIG))
# The stream of a record that runs does not end; tests/integration/api holds it to the document.
schema = document.exclude(operation_id=STREAM.operation_id)


@pytest.fixture(scope="module")
def stored(redis_url: str) -> Iterator[str]:
    """A prefix under which the document's examples and an awkward stream are stored."""
    prefix = f"replog-test-{uuid.uuid4().hex}"
    asyncio.run(write(redis_url, prefix, [*EVENTS, *streams.awkward_stream(Random(SEED))]))
    yield prefix
    remove_keys(redis_url, prefix)


@pytest.fixture(scope="module")
def api(redis_url: str, stored: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A query service over it that wants a token, and lets one ask as often as they like."""
    variables = {
        "REPLOG_REDIS_URL": redis_url,
        "REPLOG_REDIS_PREFIX": stored,
        "REPLOG_API_PORT": "0",
        "REPLOG_API_TOKENS": f"test:{sha256(SECRET.encode()).hexdigest()}",
        "REPLOG_API_REQUESTS_PER_S": "0",
    }
    process = Process(API, tmp_path_factory.mktemp("api"), variables)
    process.start()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, set[Any]]]:
    """What operations answered; each that was asked has to have answered in every way that it can here."""
    seen: dict[str, set[Any]] = defaultdict(set)
    yield seen
    for operation, ways in seen.items():
        # Other methods of a path are asked for beside GET.
        others = set() if operation.startswith("HEAD") else {405}
        expected = {200} | others | ({"rows", 304, 400} if "/task/" in operation else set())
        assert expected <= ways, operation


def ways_of(response: Response) -> set[Any]:
    """The status of an answer, and whether it tells something that is stored."""
    if response.headers.get("content-disposition"):
        # Behind the names of the columns, or before how many there are.
        return {response.status_code} | ({"rows"} if response.content.count(b"\n") > 1 else set())
    data = response.status_code == 200 and response.headers["content-type"] == ["application/json"] and response.json()
    found = data.get("data") if data else None
    rows = found.get("records", found) if isinstance(found, dict) else found
    return {response.status_code} | ({"rows"} if rows else set())


def wrong_parameters_are_refused(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Require an error where a parameter of the query, as it was sent, is none that the document allows.

    The check of schemathesis lets one pass as soon as another one is right.
    """
    query = urlsplit(str(response.request.url)).query
    sent: dict[str, list[str]] = parse_qs(query, keep_blank_values=True)
    for parameter in case.operation.query:
        definition = parameter.definition
        # Where one comes twice the last counts; an empty one is as none, where the document does not name it.
        texts = sent.get(parameter.name, [""])
        if any(texts) or definition["required"]:
            value = texts if definition["schema"]["type"] == "array" else read(definition["schema"], texts[-1])
            if not jsonschema_rs.is_valid(definition["schema"], value):
                assert response.status_code in {400, 405, 414}, f"{parameter.name}={value} is wrong, and answered"


def read(schema: dict[str, Any], text: str) -> int | str:
    """A parameter as its schema looks at it."""
    return int(text) if schema["type"] == "integer" and re.fullmatch("-?[0-9]+", text) else text


@schema.parametrize()
def test_the_service_answers_as_its_document_says(case: Case[Any], api: Process, answers: dict[str, set[Any]]) -> None:
    """Whatever is asked: right and wrong questions, other methods, without a token."""
    response = case.call(base_url=api.url, headers=HEADERS)
    answers[case.operation.label] |= ways_of(response)
    if len(str(response.request.url)) > MOST_URL:
        # No server reads one as long: it is no HTTP, and no query.
        assert response.status_code == INVALID_REQUEST.status
        return
    # The API's clients know no other answer than 400 to a good question about a record that does not exist.
    unknown = response.status_code == UNKNOWN_RECORD.status and response.json()["code"] == UNKNOWN_RECORD.code
    # That two parameters are too much together is what no schema can say.
    too_many = response.status_code == 400 and "allowed with as many" in response.json()["message"]
    excluded: list[CheckFunction] = [positive_data_acceptance] if unknown or too_many else []
    case.validate_response(
        response, headers=HEADERS, excluded_checks=excluded, additional_checks=[wrong_parameters_are_refused]
    )
