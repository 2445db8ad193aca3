"""Stores as operators name them, the patience of their connections, and what a verdict is as an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from replog.errors import SettingsError, StoreUnavailable
from replog.settings import StoreSettings
from replog.store.inspect.findings import Finding
from replog_cli.verify import as_object, exit_code
from replog_repair.copying.places import place_of, shown
from replog_repair.patience import PatientRunner
from replog_repair.stores import NamedStore, store_of
from replog_repair.verification.verifier import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.command import Command

SETTINGS = StoreSettings(redis_url="redis://here:1/0", redis_prefix="p")


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("", ("redis://here:1/0", "p")),
        ("#q", ("redis://here:1/0", "q")),
        ("redis://there:2/0", ("redis://there:2/0", "p")),
        ("redis+cluster://a:1,b:2#q.r", ("redis+cluster://a:1,b:2", "q.r")),
    ],
)
def test_a_store_is_named_by_url_and_prefix(text: str, store: tuple[str, str]) -> None:
    assert store_of(text, SETTINGS) == NamedStore(*store)
    assert place_of(text, SETTINGS) == NamedStore(*store)


@pytest.mark.parametrize("text", ["redis://here:x/0#q", "#a{b", "redis://h:1/0#", "http://h#q", "#"])
def test_a_store_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="allowed"):
        store_of(text, SETTINGS)


def test_everything_else_is_a_file() -> None:
    assert place_of("backup/today.replog", SETTINGS) == Path("backup/today.replog")


def test_no_message_shows_a_password() -> None:
    store = store_of("redis://user:secret@h:1/0#q", SETTINGS)
    assert shown(store) == "redis://user:***@h:1/0#q"
    with pytest.raises(SettingsError) as refused:
        store_of("redis://user:secret@h:1/0#", SETTINGS)
    assert "secret" not in str(refused.value)


class Failing:
    """A store that fails so often before it answers."""

    prefix = "p"

    def __init__(self, times: int, kind: str = "connection") -> None:
        self.times = times
        self.kind = kind

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        self.times -= 1
        if self.times >= 0:
            raise StoreUnavailable(self.kind, "no")
        return [len(calls)]


async def test_a_short_outage_is_waited_for() -> None:
    runner = PatientRunner(Failing(3), first_backoff_s=0.001)
    assert await runner.run([]) == [0]


@pytest.mark.parametrize(("times", "kind", "tries"), [(9, "noperm", 1), (9, "oom", 1), (9, "connection", 3)])
async def test_what_lasts_or_needs_a_person_is_not(times: int, kind: str, tries: int) -> None:
    clock = iter([0.0, 1.0, 2.0, 61.0])
    store = Failing(times, kind)
    with pytest.raises(StoreUnavailable):
        await PatientRunner(store, first_backoff_s=0.001, clock=lambda: next(clock)).run([])
    assert times - store.times == tries


def test_an_exit_code_tells_equal_different_and_unknown() -> None:
    finding = Finding("sum", "r", b"p:{1}:record:r\xff", "s1 is 2", edit=None)
    assert exit_code(Verdict()) == 0
    assert exit_code(Verdict(findings=[finding], unsettled=["r"])) == 1
    assert exit_code(Verdict(unsettled=["r"])) == 2
    told = as_object(Verdict(records=3, findings=[finding]), 1)
    assert told["result"] == "different"
    assert told["differences"] == [
        {
            "what": "sum",
            "recordId": "r",
            "detailId": None,
            "taskKey": None,
            "key": "p:{1}:record:r\\xff",
            "text": "s1 is 2",
        }
    ]
