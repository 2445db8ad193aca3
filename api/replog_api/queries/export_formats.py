"""Formats of an export of details: CSV for spreadsheets, or one JSON object a line. Pure.

Both are made of the rows as every answer has them, so that they say the same. The columns of CSV are the fields of a
Detail in their order, those of nested objects behind the name of these and a dot.
"""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING, Any, Protocol, get_args

from orjson import dumps, loads
from pydantic import BaseModel

from replog.answers import encode, encode_lines
from replog_api.contracts.schemas import Detail
from replog_api.http import envelope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from replog_api.http.query_values import ExportFormat

#: The name of a field, and the fields of the object that it holds, if it holds one.
_Field = tuple[str, "tuple[_Field, ...]"]

#: Without it, spreadsheets take the text for one in the encoding of their system.
_BYTE_ORDER_MARK = "\ufeff"
#: A spreadsheet takes a cell that begins so for a formula, and runs it.
_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class RowFormat(Protocol):
    """Makes the body of an answer of rows, each an object whose JSON is a Detail."""

    media_type: str

    def head(self) -> bytes:
        """The bytes before all rows."""

    def rows(self, rows: Sequence[object]) -> bytes:
        """The bytes of some rows."""

    def end(self, number: int) -> bytes:
        """The bytes behind ``number`` rows."""


class NdjsonFormat:
    """A Detail a line; the last line says how many they were, so that a body that was cut is seen."""

    media_type = envelope.NDJSON

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def rows(self, rows: Sequence[object]) -> bytes:
        """A line for each row."""
        return encode_lines(rows)

    def end(self, number: int) -> bytes:
        """The line with the number of rows."""
        return b'{"rows":%d}\n' % number


class CsvFormat:
    """RFC 4180 in UTF-8 with a byte order mark; null is an empty cell, an array one of JSON."""

    media_type = envelope.CSV

    def head(self) -> bytes:
        """The byte order mark, and the names of the columns."""
        return _BYTE_ORDER_MARK.encode() + _csv([_columns(_FIELDS)])

    def rows(self, rows: Sequence[object]) -> bytes:
        """A line for each row."""
        return _csv(list(_cells(row, _FIELDS)) for row in loads(encode(rows)))

    def end(self, number: int) -> bytes:
        """Nothing."""
        return b""


FORMATS: Mapping[ExportFormat, RowFormat] = {"csv": CsvFormat(), "ndjson": NdjsonFormat()}


def _fields_of(model: type[BaseModel]) -> tuple[_Field, ...]:
    return tuple((field.alias or name, _nested(field.annotation)) for name, field in model.model_fields.items())


def _nested(annotation: Any) -> tuple[_Field, ...]:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return _fields_of(kind)
    return ()


_FIELDS = _fields_of(Detail)


def _columns(fields: Iterable[_Field], before: str = "") -> list[str]:
    found: list[str] = []
    for name, nested in fields:
        found += _columns(nested, f"{before}{name}.") if nested else [before + name]
    return found


def _cells(row: Mapping[str, Any] | None, fields: Iterable[_Field]) -> Iterator[Any]:
    for name, nested in fields:
        value = row and row[name]
        if nested:
            yield from _cells(value, nested)
        else:
            yield _cell(value)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_OF_FORMULAS) else value
    if isinstance(value, bool | list):
        return dumps(value).decode()
    return value


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
