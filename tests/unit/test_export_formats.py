"""What an export comes as: every field, every row, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog_api.contracts.openapi.examples import CSV, DETAIL, LINES
from replog_api.http.query_values import DetailExportQuery
from replog_api.queries.detail_export import file_name
from replog_api.queries.export_formats import FORMATS
from tests.support.model import COLUMNS

if TYPE_CHECKING:
    from replog_api.http.query_values import ExportFormat

#: Anything that a text of a detail may be: JSON has no halves of characters.
texts = st.text(st.sampled_from("=+-@\t\r\n\"',;\x00\u2028<é") | st.characters(exclude_categories=["Cs"]))


def file_of(kind: ExportFormat, rows: list[dict[str, Any]]) -> bytes:
    """The file, of two parts."""
    shape = FORMATS[kind]
    return shape.head() + shape.rows(rows[:1]) + shape.rows(rows[1:]) + shape.end(len(rows))


def cells_of(file: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))


def test_the_columns_are_the_fields_of_a_detail() -> None:
    assert cells_of(file_of("csv", [])) == [COLUMNS]


def test_the_documented_files_are_made_of_the_documented_detail() -> None:
    assert file_of("csv", [DETAIL]) == CSV.encode()
    assert [json.loads(line) for line in file_of("ndjson", [DETAIL]).splitlines()] == [DETAIL, {"rows": 1}]
    assert [json.loads(line) for line in LINES.splitlines()] == [DETAIL, {"rows": 1}]


@given(st.lists(st.fixed_dictionaries({"id": texts, "errorReason": st.none() | texts, "version": texts}), max_size=3))
def test_a_cell_is_a_text_and_never_a_formula(changes: list[dict[str, Any]]) -> None:
    """Whatever is in it, it stays one cell of its row."""
    rows = cells_of(file_of("csv", [{**DETAIL, **change} for change in changes]))[1:]
    for change, row in zip(changes, rows, strict=True):
        for name, text in change.items():
            cell = row[COLUMNS.index(name)]
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert cell.removeprefix("'") == (text or "").removeprefix("'")


def test_numbers_and_booleans_are_as_in_json() -> None:
    """Also what a double does not hold."""
    (_, row) = cells_of(file_of("csv", [{**DETAIL, "size": 2**63 - 1, "stale": True}]))
    assert (row[COLUMNS.index("size")], row[COLUMNS.index("stale")]) == (str(2**63 - 1), "true")
    assert row[COLUMNS.index("progress.node.total")] == ""
    (_, row) = cells_of(file_of("csv", [{**DETAIL, "packageConstraint": {"packageKey": "a", "versions": ["1", "é"]}}]))
    assert row[COLUMNS.index("packageConstraint.versions")] == '["1","é"]'


@pytest.mark.parametrize("record_id", ["r", "a/b", "..", 'a"; x="', "日志", "\u202excod", "x" * 128, "a\r\nb"])
def test_a_file_has_a_name_that_is_safe_everywhere(record_id: str) -> None:
    name = file_name(DetailExportQuery.model_construct(record_id=record_id, format="csv"))
    assert name.startswith("record-")
    assert name.endswith(".csv")
    assert name.isascii()
    assert not {*name} - {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"}
