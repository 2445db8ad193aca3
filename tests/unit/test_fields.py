"""One table of fields: what the wire, the store, the answers and the documents say of a field is what it says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog import fields
from replog.entities import Detail, Record, detail_from
from replog.events import TYPES, schema_of, schemas
from replog.fields import DETAIL, EVENT, PROGRESS, RECORD, TALLY, Field, Meaning
from replog.records import FACTS, FactsFormat, Progressed, Registers, Tallied, join
from replog.state import State, kinds_of, registers_of
from replog_api.contracts import schemas as models
from tests.support.one_more_field import (
    FORMAT,
    MIME_TYPE,
    StartedWithMimeType,
    canonical,
    content_of,
    event_of,
    relettered,
)
from tests.support.strategies import detail_facts, texts

DOCS = Path(__file__).parents[2] / "docs"
ROWS = [row for table in fields.TABLES for row in table]
KINDS = kinds_of([StartedWithMimeType], FORMAT)

#: With any codes.
formats = st.randoms(use_true_random=False).map(relettered)
facts = st.fixed_dictionaries({}, optional={**detail_facts, "mimeType": texts})


class TestAFieldMore:
    def test_letters_no_other_anew(self) -> None:
        """Its name lies amid theirs: between localCluster and packageKey."""
        assert {**FACTS.codes, "mime_type": "n"} == FORMAT.codes
        assert list(FORMAT.names.values()) == sorted(FORMAT.names.values())
        assert FORMAT.order.replace("n", "") == FACTS.order

    @given(st.fixed_dictionaries({}, optional=detail_facts))
    def test_leaves_what_is_stored_without_it_as_it_is(self, content: dict[str, Any]) -> None:
        event = event_of(content)
        assert registers_of(event, KINDS) == registers_of(event, kinds_of([StartedWithMimeType]))

    @given(st.lists(st.fixed_dictionaries({}, optional=detail_facts), max_size=4))
    def test_leaves_ties_among_others_as_they_are(self, contents: list[dict[str, Any]]) -> None:
        registers = [registers_of(event_of(content), KINDS) for content in contents]
        assert reduce(join, registers, Registers()) == reduce(lambda a, b: join(a, b, FORMAT), registers, Registers())

    def test_is_read_past_by_a_version_without_it(self) -> None:
        registers = registers_of(event_of({"mimeType": "text/plain", "path": "a"}), KINDS)
        assert detail_from("r", "d", registers).path == "a"


class TestTies:
    """Decided as canonical JSON by wire names, whatever the codes are."""

    @given(formats, st.lists(facts, min_size=1, max_size=4))
    def test_of_registers(self, table: FactsFormat, contents: list[dict[str, Any]]) -> None:
        kinds = kinds_of([StartedWithMimeType], table)
        offered = [registers_of(event_of(content), kinds) for content in contents]
        for order in (offered, offered[::-1]):
            joined = reduce(lambda a, b: join(a, b, table), order)
            assert content_of(joined, table) == max(contents, key=lambda content: (bool(content), canonical(content)))

    @given(formats, st.lists(facts, min_size=1, max_size=4))
    def test_of_events_in_memory(self, table: FactsFormat, contents: list[dict[str, Any]]) -> None:
        kinds = kinds_of([StartedWithMimeType], table)
        state, offered = State(kinds), [registers_of(event_of(content), kinds) for content in contents]
        for content in contents:
            state.fold(event_of(content))
        assert state.registers == reduce(lambda a, b: join(a, b, table), offered)

    @given(formats, facts)
    def test_of_what_is_stored_as_canonical_json(self, table: FactsFormat, content: dict[str, Any]) -> None:
        kinds = kinds_of([StartedWithMimeType], table)
        assert table.canonical(kinds[StartedWithMimeType].facts_content(event_of(content))) == canonical(content)

    def test_a_code_of_a_later_version_is_behind_all_names(self) -> None:
        later = registers_of(event_of({"mimeType": "text/plain", "path": "a"}), KINDS)
        known = registers_of(event_of({"versions": ["9"]}), KINDS)
        assert join(later, known) == join(known, later) == later


@pytest.mark.parametrize("codes", ["ab", "é", "", "-", "1"])
def test_a_code_is_one_letter(codes: str) -> None:
    with pytest.raises(ValueError, match="need a code"):
        FactsFormat([replace(MIME_TYPE, code=codes)])


def test_no_two_facts_share_a_code_or_a_name() -> None:
    for other in (replace(MIME_TYPE, name="other", wire="other"), replace(MIME_TYPE, name="other", code="o")):
        with pytest.raises(ValueError, match="of their own"):
            FactsFormat([MIME_TYPE, other])


def test_codes_are_those_that_stores_hold() -> None:
    """Append-only: a line here is never changed, for stores were written with it."""
    assert FACTS.codes == {
        "artifact_name": "a",
        "conflict_strategy": "b",
        "local_cluster": "c",
        "package_key": "d",
        "package_name": "e",
        "path": "f",
        "remote_cluster": "g",
        "repo_name": "h",
        "repo_type": "i",
        "sha256": "j",
        "size": "k",
        "version": "l",
        "versions": "m",
        "expected_details": "A",
        "replica_object_type": "B",
        "replica_type": "C",
        "task_key": "D",
        "task_name": "E",
    }


def wire_name(row: Field) -> str:
    return row.wire or ""


class TestTheWire:
    @pytest.mark.parametrize("event_type", TYPES.values(), ids=lambda kind: kind.__name__)
    def test_a_struct_has_the_fields_of_its_tables(self, event_type: Any) -> None:
        rows = {
            row.name: row.wire for row in (*(RECORD if "Record" in event_type.__name__ else DETAIL), *EVENT) if row.wire
        }
        names = dict(zip(event_type.__struct_fields__, event_type.__struct_encode_fields__, strict=True))
        assert names.items() <= rows.items()

    def test_every_field_of_events_is_in_some_struct(self) -> None:
        described = json.dumps(schemas("{name}"), ensure_ascii=False)
        for row in ROWS:
            assert row.wire is None or f'"{row.wire}":' in described

    @pytest.mark.parametrize("event_type", TYPES.values(), ids=lambda kind: kind.__name__)
    def test_documents_describe_every_field_in_both_languages(self, event_type: Any) -> None:
        for name, schema in schema_of(event_type)["$defs"].items():
            for key, rule in schema["properties"].items():
                english, chinese = rule["description"].split("\n\n")[:2] if key != "type" else ("a", "类")
                assert english.isascii(), (name, key)
                assert not chinese.isascii(), (name, key)

    def test_numbers_of_progress_are_stored_in_the_order_of_their_names(self) -> None:
        assert sorted(row.wire for row in PROGRESS if row.wire) == ["blob", "node", "totalSize", "version"]
        assert sorted(row.wire for row in TALLY if row.wire) == ["failed", "skip", "success", "total"]


class TestAnswers:
    def test_entities_have_the_fields_of_their_tables_in_order(self) -> None:
        made_of_others = {"package_constraint", "path_constraint", "stale", "expected_details"}
        for entity, table in ((Record, RECORD), (Detail, DETAIL)):
            assert entity._fields == tuple(row.name for row in table if row.name not in made_of_others)

    def test_numbers_of_progress_are_read_in_the_order_of_their_names(self) -> None:
        for numbers, table in ((Tallied, TALLY), (Progressed, PROGRESS)):
            assert list(numbers._fields) == [row.name for row in sorted(table, key=wire_name) if row.wire]

    @pytest.mark.parametrize(
        "model",
        [model for model in vars(models).values() if getattr(model, "rows", None)],
        ids=lambda model: model.__name__,
    )
    def test_models_have_the_keys_of_their_tables_in_order(self, model: Any) -> None:
        properties = model.model_json_schema()["properties"]
        keys = [row.key for row in model.rows if row.key]
        assert list(properties)[: len(keys)] == keys
        for row in model.rows:
            if row.key:
                assert properties[row.key]["description"] == "\n\n".join(row.in_answers)


def test_a_later_field_says_since_when_it_is_there() -> None:
    assert MIME_TYPE.in_events == ("media type; since version 2", "媒体类型；自版本 2 起")
    assert replace(MIME_TYPE, answered=Meaning("or null", "或为 null")).in_answers == (
        "media type; or null; since version 2",
        "媒体类型；或为 null；自版本 2 起",
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_field_is_described_in_both_languages_and_in_the_pages(row: Field) -> None:
    assert row.meaning.english.isascii()
    assert not row.meaning.chinese.isascii()
    if row.wire:
        assert re.search(rf"`{row.wire}`", (DOCS / "events.md").read_text(encoding="utf-8"))
    if row.key:
        assert re.search(rf"\b{row.key}\b", (DOCS / "api.md").read_text(encoding="utf-8"))
