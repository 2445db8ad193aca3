"""The code and the documentation use the words of the glossary, and docstrings name the thing that they describe."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "architecture.md"
CODE = sorted(
    file
    for folder in ("shared", "collector", "api", "deploy")
    for file in (ROOT / folder).rglob("*")
    if file.suffix in {".py", ".lua"}
)
MODULES = [file for file in CODE if file.suffix == ".py"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: A docstring opens with a noun or a verb. "Whether" is allowed: it names a boolean.
QUESTIONS = re.compile(r"(What|Where|Who|Whose|Whom|How|Which|Why|When)\b")
EMPTY_PHRASE = "As the protocol says."
#: Characters of the widest cell: generated tables of figures and faults have some beyond the usual 120.
MOST_CELL_CHARACTERS = 140

#: Words that earlier versions of this code used privately, and what the field calls the thing.
RETIRED = {
    "visit": "request context",
    "gate": "request middleware",
    "sight": "snapshot",
    "gathering": "single flight",
    "witness": "version recorder",
    "beginnings": "start offsets",
    "marker": "checkpoint",
    "marking": "checkpointing",
    "answering": "running a query",
    "told": "said, reported or sent",
    "receipt": "merge result",
    "watcher": "waiting client",
    "committable": "an offset that can be committed",
}


class Allowed(NamedTuple):
    """A line that may contain a retired word, because the word is not ours there."""

    word: str
    pattern: re.Pattern[str]
    reason: str


ALLOWED = (Allowed("marker", re.compile(r"transaction marker"), "Kafka's name for the end of a transaction"),)


def name_of(file: Path) -> str:
    """The path of a file below the root."""
    return file.relative_to(ROOT).as_posix()


def docstrings(module: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a module and everything in it, each with its line."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield getattr(node, "lineno", 1), text


def riddles(module: Path) -> list[str]:
    """The docstrings of a module that open with a question word, or say nothing."""
    return [
        f"line {line}: {text.splitlines()[0]}"
        for line, text in docstrings(module)
        if QUESTIONS.match(text) or text.startswith(EMPTY_PHRASE)
    ]


def retired_words(file: Path) -> list[str]:
    """The retired words in a file, with the line of each."""
    return [
        f"line {number}: {word!r}; say {RETIRED[word]}"
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        for word in RETIRED
        if re.search(rf"\b{word}(s|es)?\b", line, re.IGNORECASE)
        and not any(word == allowed.word and allowed.pattern.search(line) for allowed in ALLOWED)
    ]


def glossary() -> list[str]:
    """The words that the glossary explains."""
    _, _, text = GLOSSARY.read_text(encoding="utf-8").partition("\n## Glossary\n")
    cells = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
    return [word.strip() for cell in cells if cell != "word" and set(cell) != {"-"} for word in cell.split(",")]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_docstrings_name_the_thing(module: Path) -> None:
    """They open with a noun or a verb, and state a contract."""
    assert riddles(module) == []


def test_no_docstring_of_a_test_or_its_support_says_nothing() -> None:
    """Fakes say what they do in place of the real thing."""
    tests = [file for file in sorted((ROOT / "tests").rglob("*.py")) if "node_modules" not in file.parts]
    said = [
        f"{name_of(file)}, line {line}" for file in tests for line, text in docstrings(file) if text == EMPTY_PHRASE
    ]
    assert len(tests) > 1
    assert said == []


@pytest.mark.parametrize("file", [*CODE, *PAGES], ids=name_of)
def test_retired_words_are_not_used(file: Path) -> None:
    """One word for each thing, and that of the field."""
    assert retired_words(file) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_are_narrow(page: Path) -> None:
    """Longer text stands below its table."""
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("|")]
    cells = [cell.strip() for row in rows for cell in re.split(r"(?<!\\)\|", row)]
    assert [cell for cell in cells if len(cell) > MOST_CELL_CHARACTERS] == []


@pytest.mark.parametrize("word", glossary())
def test_words_of_the_glossary_are_used(word: str) -> None:
    """In the code or on another page; a word that nobody uses needs no explanation."""
    pattern = re.compile(rf"(?<![a-z]){re.sub('[- ]', '[-_ ]?', word)}", re.IGNORECASE)
    assert any(pattern.search(file.read_text(encoding="utf-8")) for file in [*CODE, *PAGES] if file != GLOSSARY)


def test_the_glossary_explains_what_is_private() -> None:
    """Words of the store that the field does not have."""
    assert {"bucket", "pair", "driver", "short id", "head", "tail"} <= set(glossary())


def test_retired_words_are_not_in_the_glossary() -> None:
    """A word is explained or retired."""
    assert RETIRED.keys().isdisjoint(glossary())
