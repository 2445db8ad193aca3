"""The pages for contributors name files, modules, folders and classes that exist; each decision is dated and listed."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from replog.events import TYPES

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "adr"
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md", *sorted(DECISIONS.glob("*.md"))]
#: Folders that hold import packages, and the tests.
ROOTS = ("shared", "collector", "api", "deploy", "tests")
FILES = [file for root in ROOTS for file in (ROOT / root).rglob("*") if file.suffix in {".py", ".lua"}]
PATHS = {file.relative_to(ROOT).as_posix() for file in FILES}
CLASSES = {
    name for file in FILES for name in re.findall(r"^class (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}
ALIASES = {"LogAction", "Publisher"}
FILE_SUFFIXES = (".py", ".lua", ".md", ".json", ".toml", ".lock")
#: Classes of Python and of libraries.
FOREIGN = {"Protocol"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
each_decision = pytest.mark.parametrize("page", sorted(DECISIONS.glob("0*.md")), ids=lambda page: page.name)


def quoted(page: Path) -> set[str]:
    """What a page has in backticks, without its code blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


def module_exists(name: str) -> bool:
    """Whether a dotted name, or the last parts of one, is a package, a module, or something in a module."""
    place, _, _ = name.replace(".", "/").rpartition("/")
    ends = (f"/{name.replace('.', '/')}.py", f"/{name.replace('.', '/')}/__init__.py", f"/{place}.py")
    return any(path.endswith(ends) for path in PATHS)


@each_page
def test_files_exist(page: Path) -> None:
    """A file may be named with some of its folders, or none."""
    named = {word for word in quoted(page) if re.fullmatch(r"[\w/]+\.(py|lua)", word)}
    assert {word for word in named if not any(f"/{path}".endswith(f"/{word}") for path in PATHS)} == set()


@each_page
def test_folders_exist(page: Path) -> None:
    """By their paths from the root."""
    named = {word for word in quoted(page) if re.fullmatch(rf"({'|'.join(ROOTS)})(/\w+)+", word)}
    assert {word for word in named if not (ROOT / word).is_dir()} == set()


@each_page
def test_modules_exist(page: Path) -> None:
    """By their dotted names, or the last parts of these; types of events are dotted, too."""
    dotted = {word for word in quoted(page) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", word)}
    named = {word for word in dotted if not word.endswith(FILE_SUFFIXES)} - {*TYPES}
    assert {word for word in named if not module_exists(word)} == set()


@each_page
def test_classes_exist(page: Path) -> None:
    """Of this project, or listed here as of another."""
    named = {word for word in quoted(page) if re.fullmatch(r"([A-Z][a-z]+){2,}|Snapshots|Checkpoints|Protocol", word)}
    assert named - CLASSES - ALIASES - FOREIGN == set()


@each_decision
def test_decisions_are_dated_and_listed(page: Path) -> None:
    """The index has the number, the title and the date of each."""
    text = page.read_text(encoding="utf-8")
    heading = re.match(r"# (\d+)\. (.+)\n", text)
    assert heading
    number, title = heading.groups()
    assert page.name.startswith(f"{int(number):04d}-")
    assert re.search(r"^- Status: (accepted|replaced by \[ADR \d+\])", text, re.MULTILINE)
    dated = re.search(r"^- Date: (\S{10})", text, re.MULTILINE)
    assert dated
    day = date.fromisoformat(dated[1])
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    assert f"| {number} | [{title}]({page.name}) | {day} |" in index
