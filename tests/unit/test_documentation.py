"""The documentation says what the code does: settings, metrics, log actions, examples, fields and links."""

from __future__ import annotations

import json
import re
from functools import reduce
from itertools import permutations
from typing import TYPE_CHECKING, Any, get_args

import pytest

import replog_api.metrics
import replog_collector.metrics
from replog import letters
from replog.events import TYPES, parse, schema_of
from replog.records import EMPTY, join
from replog.settings import ApiSettings, ClientSettings, CollectorSettings, NotifySettings, variable
from replog.state import registers_of
from replog.telemetry import LogAction
from replog_api.contracts import schemas
from tests.support.documentation import DOCS, ROOT, fenced, text_of
from tests.support.metric_names import ALL_METRICS, metrics_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from pydantic import BaseModel

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
#: Pages about what exists; the roadmap is about what does not.
OF_THE_PRESENT = [page for page in PAGES if page.name != "roadmap.md"]
PACKAGES = {"replog_api", "replog_collector", "replog_cli", "replog_local", "replog_repair"}
HISTOGRAM_SUFFIXES = re.compile(r"_(bucket|sum|count)$")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
each_present_page = pytest.mark.parametrize("page", OF_THE_PRESENT, ids=lambda page: page.name)


def section(page: str, title: str) -> str:
    """What stands under a heading of a page, up to the next heading."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#{{1,6}} |\Z)", text_of(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no heading {title!r}"
    return found[1]


def chapter(page: str, title: str) -> str:
    """What stands under a heading of the second level, its subsections included."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text_of(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no chapter {title!r}"
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each table row that begins with a name in backticks."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def names(cell: str) -> list[str]:
    """The names in backticks of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def settings() -> dict[str, str]:
    """Every variable that a process reads, with its default as the documentation writes it."""
    # The last of them that has a setting decides on its default.
    groups = (NotifySettings, ClientSettings, ApiSettings, CollectorSettings)
    fields = {name: field for group in groups for name, field in group.model_fields.items()}
    return {variable(name): _written(field.default) for name, field in fields.items()}


def _written(default: object) -> str:
    if default is None:
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_operations_lists_every_setting_with_its_default() -> None:
    """And none that does not exist."""
    documented = {names(row[0])[0]: row[1].strip("`") for row in rows(chapter("operations.md", "Settings"))}
    assert documented == settings()


@each_present_page
def test_pages_name_only_variables_that_exist(page: Path) -> None:
    """Those in which tests find their servers, and groups written as REPLOG_KAFKA_*, aside."""
    mentioned = set(re.findall(r"REPLOG_[A-Z_]*[A-Z](?!\w|\*)", page.read_text(encoding="utf-8")))
    assert {name for name in mentioned if not name.startswith("REPLOG_TEST_")} <= settings().keys()


@pytest.mark.parametrize(
    ("title", "module"),
    [("Of a collector", replog_collector.metrics), ("Of a query service", replog_api.metrics)],
    ids=["collector", "query service"],
)
def test_operations_lists_every_metric_with_its_labels(title: str, module: ModuleType) -> None:
    """And none that does not exist."""
    documented = {names(row[0])[0]: names(row[1]) for row in rows(section("operations.md", title))}
    assert documented == metrics_of(module)


@each_present_page
def test_pages_name_only_metrics_that_exist(page: Path) -> None:
    """Packages aside, a name that begins with ``replog_`` is a metric."""
    mentioned = set(re.findall(r"\breplog_[a-z_]*[a-z]", page.read_text(encoding="utf-8"))) - PACKAGES
    assert {HISTOGRAM_SUFFIXES.sub("", name) for name in mentioned} <= ALL_METRICS.keys()


def test_operations_lists_every_log_action() -> None:
    """And none that does not exist."""
    documented = [names(row[0])[0] for row in rows(section("operations.md", "Log actions"))]
    assert sorted(documented) == sorted(get_args(LogAction))


def test_events_lists_every_header_of_a_dead_letter() -> None:
    """By the names that the collector sends."""
    documented = [name for row in rows(section("events.md", "Invalid events")) for name in names(row[0])]
    headers = [name for name in documented if name.startswith("replog.")]
    assert headers == [
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


@pytest.mark.parametrize("example", fenced("events.md", "json"))
def test_examples_of_events_are_valid(example: str) -> None:
    """Each follows the contract and shows nothing that it ignores."""
    event = parse(example.encode())
    known = {"type", *type(event).__struct_encode_fields__}
    assert json.loads(example).keys() <= known


def test_every_type_of_event_has_an_example() -> None:
    """All seven of them."""
    shown = {json.loads(example)["type"] for example in fenced("events.md", "json")}
    assert shown == {*TYPES}


def fields_of(event_type: str) -> tuple[set[str], set[str]]:
    """The fields of a type of event and those of them that are required, by the tables of the page."""
    every = list(rows(section("events.md", "Fields of every event")))
    types = {names(row[0])[0]: row for row in rows(text_of("events.md")) if "." in row[0]}
    _, more, required = types[event_type]
    facts = [names(row[0])[0] for row in rows(section("events.md", "Details")) if "." not in row[0]]
    known = {*(names(row[0])[0] for row in every), *names(more), *names(required)}
    needed = {names(row[0])[0] for row in every if row[2] == "yes"} | {*names(required)}
    if event_type.startswith("record.") and event_type != "record.erased":
        needed.add("taskKey")
    return known | {*facts} if "the facts" in more else known, needed


@pytest.mark.parametrize("event_type", TYPES)
def test_events_lists_every_field_of_each_type(event_type: str) -> None:
    """And says which are required, as the schema does."""
    schema = schema_of(TYPES[event_type])["$defs"][TYPES[event_type].__name__]
    known, required = fields_of(event_type)
    assert set(schema["properties"]) == known
    assert set(schema["required"]) == required


def test_worked_example_ends_the_same_in_any_order() -> None:
    """As the documentation says of it."""
    (example,) = fenced("events.md", "jsonl")
    candidates = [registers_of(parse(line)) for line in example.encode().splitlines()]
    ends = {reduce(join, order, EMPTY) for order in permutations(candidates)}
    assert len(ends) == 1


@pytest.mark.parametrize(
    ("title", "schema"),
    [
        ("Envelope", schemas.Envelope[Any]),
        ("Page", schemas.Page[Any]),
        ("Record", schemas.Record),
        ("Task", schemas.Task),
        ("Overview", schemas.Overview),
        ("Run", schemas.Run),
        ("Watched", schemas.Watched),
        ("Detail", schemas.Detail),
        ("Progress", schemas.Progress),
    ],
)
def test_api_explains_every_field_of_a_body(title: str, schema: type[BaseModel]) -> None:
    """In the order of the answers."""
    documented = [names(row[0])[0] for row in rows(section("api.md", title))]
    assert documented == [field.alias for field in schema.model_fields.values()]


def test_events_of_a_stream_are_such_as_are_sent() -> None:
    """A snapshot, changes and an end, each with its data on one line."""
    (shown,) = re.findall(r"^```text\n(.*?)^```$", section("api.md", "A record, live"), re.MULTILINE | re.DOTALL)
    fields = [line.split(": ", 1) for line in shown.splitlines() if line and not line.startswith(":")]
    kinds = [value for name, value in fields if name == "event"]
    data = [schemas.Watched.model_validate_json(value) for name, value in fields if name == "data"]
    assert kinds == ["snapshot", "change", "end"]
    assert [one.reason for one in data] == [None, None, "finished"]
    assert {name for name, _ in fields} == {"retry", "id", "event", "data"}


ANSWERS: dict[str, Any] = {
    "All records of a task": list[schemas.Record],
    "A page of a task's records": schemas.Page[schemas.Record],
    "Latest records of some tasks": list[schemas.Task],
    "A page of tasks": schemas.Page[schemas.Task],
    "All details of a record": list[schemas.Detail],
    "A page of a record's details": schemas.Page[schemas.Detail],
    "One record": schemas.Run,
    "A record's roll-up": schemas.Overview,
    "Errors": None,
}


@pytest.mark.parametrize("title", ANSWERS)
def test_answers_in_the_api_are_such_as_are_given(title: str) -> None:
    """Each has all fields of its body and no other."""
    found = re.search(r"^```json\n(.*?)^```$", section("api.md", title), re.MULTILINE | re.DOTALL)
    assert found
    envelope: Any = schemas.Envelope
    answer = envelope[ANSWERS[title]].model_validate_json(found[1])
    assert (answer.code == 0) == (answer.message is None)


@each_page
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    """No link of a page is broken."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if fragment and linked.suffix == ".md":
            assert fragment in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """The fragments that the headings of a page can be reached by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
