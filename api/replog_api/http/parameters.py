"""Parsing of a request's path and query string into a query value, once, at the route.

A wrong parameter becomes a line of the error table by the type of pydantic's error, with a message that names the
parameter and its value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, get_args, get_origin
from urllib.parse import unquote_plus, unquote_to_bytes

from pydantic import ValidationError

from replog_api.http import messages
from replog_api.http.errors import INVALID_PARAMETER, MISSING_PARAMETER, RefusedError
from replog_api.http.query_values import QueryValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from pydantic.fields import FieldInfo

    from replog_api.http.languages import Text

Q = TypeVar("Q", bound=QueryValue)

#: Integers as clients may write them. Python's ``int``, and pydantic, would take ``+1``, ``1_0`` and `` 1``, too.
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class Parser(Generic[Q]):
    """Makes query values of one kind, ``model``.

    Of a parameter that is given twice the last counts, and an empty one counts as absent. A list parameter may be given
    several times; it counts as absent where one of its values is empty. Other parameters than the model's are ignored.
    """

    def __init__(self, model: type[Q]) -> None:
        self._fields = {field.alias or name: field for name, field in model.model_fields.items()}
        self._integers = [name for name, field in self._fields.items() if field.annotation is int]
        self._lists = {name for name, field in self._fields.items() if get_origin(field.annotation) is list}
        self._validate: Callable[[dict[str, Any]], Q] = model.__pydantic_validator__.validate_python

    def parse(self, path_params: Mapping[str, str], query_string: bytes) -> Q:
        """The value of a request whose path parameters and query string are as they were sent.

        Raises:
            RefusedError: a parameter is missing or not valid.
        """
        sent = read_query_string(query_string, self._lists)
        for name, raw in path_params.items():
            # The path was routed as it came, so that an id may hold an encoded slash.
            sent[name] = _decoded(raw)
        values = sent.copy()
        for name in self._integers:
            text = sent.get(name)
            if text is not None and _INTEGER.fullmatch(text):
                values[name] = int(text)
        try:
            return self._validate(values)
        except ValidationError as error:
            raise self._refusal(error, sent) from None

    def _refusal(self, error: ValidationError, sent: Mapping[str, Any]) -> RefusedError:
        first = error.errors(include_url=False)[0]
        name, *position = first["loc"]
        value = sent.get(str(name))
        value = value[position[0]] if position and value else value
        wrong = _Wrong(str(name), self._fields[str(name)], value, first.get("ctx", {}))
        problem = MISSING_PARAMETER if first["type"] == "missing" else INVALID_PARAMETER
        return RefusedError(problem, _MESSAGES[first["type"]](wrong))


def read_query_string(query_string: bytes, lists: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    """The parameters that are not empty: the last value of each; of ``lists`` all values, where none is empty.

    In lists, a value that is not UTF-8 stays bytes. Elsewhere it is repaired, and bytes that were not percent-encoded
    are read as Latin-1, as ``Link`` headers repeat them.
    """
    found: dict[str, Any] = {}
    for part in query_string.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        name = _unquoted(name)
        if name in lists:
            found.setdefault(name, []).append(_decoded(value.replace("+", " ")))
        else:
            found[name] = _unquoted(value)
    empty = [name for name, value in found.items() if not value or (name in lists and "" in value)]
    for name in empty:
        del found[name]
    return found


def _unquoted(text: str) -> str:
    # Of a list of many values, most names and some values have nothing encoded.
    return unquote_plus(text) if "%" in text or "+" in text else text


def _decoded(raw: str) -> str | bytes:
    """The text that was sent as ``raw``; bytes where it is not UTF-8, which no model takes."""
    if "%" not in raw and raw.isascii():
        return raw
    data = unquote_to_bytes(raw.encode("latin-1"))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class _Wrong(NamedTuple):
    """A parameter whose value, as it was sent, is not allowed; ``rule`` has the bound that it breaks."""

    name: str
    field: FieldInfo
    value: Any
    rule: dict[str, Any]


def _out_of_range(wrong: _Wrong) -> Text:
    least, most = (
        next(getattr(rule, end) for rule in wrong.field.metadata if hasattr(rule, end)) for end in ("ge", "le")
    )
    return messages.out_of_range(wrong.name, wrong.value, least, most)


#: The message of each type of error that the models can lead to.
_MESSAGES: dict[str, Callable[[_Wrong], Text]] = {
    "missing": lambda wrong: messages.missing(wrong.name),
    "int_type": _out_of_range,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    "literal_error": lambda wrong: messages.none_of(
        wrong.name, wrong.value, [word for word in get_args(wrong.field.annotation) if word]
    ),
    "string_type": lambda wrong: messages.not_utf8(wrong.name),
    "string_too_long": lambda wrong: messages.too_long(wrong.name, len(wrong.value), wrong.rule["max_length"]),
    "string_pattern_mismatch": lambda wrong: messages.control_character(wrong.name),
    "too_long": lambda wrong: messages.too_many(wrong.name, len(wrong.value), wrong.rule["max_length"]),
}
