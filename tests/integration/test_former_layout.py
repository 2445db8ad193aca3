"""A store of the layout before this one: no process works on it, and the operator's commands take over what it has."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from replog.errors import FatalError, StoreIncompatible
from replog.store.client.connection import Connection
from replog.store.format.layout import COPYABLE, LAYOUT
from replog_repair.copying import file_format
from replog_repair.copying.places import copy_between
from replog_repair.rebuilding import drop
from replog_repair.stores import NamedStore
from replog_repair.verification.other_store import OtherStore
from replog_repair.verification.verifier import Verifier
from tests.support.administered import AdministeredConnection
from tests.support.model import Model
from tests.support.query_service import merge
from tests.support.services.redis import connected, servers_of
from tests.support.services.redis_acl import url_as_operator
from tests.support.store.answers import answers, expected
from tests.support.store.batches import many_events
from tests.support.store.former_layout import turn_back
from tests.support.store.indexes import assert_indexes_agree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.strategies import Event

pytestmark = pytest.mark.every_topology

TIMEOUT_S = 10.0


class Quiet:
    """Reports nothing."""

    def begin(self, step: str) -> None:
        """Nothing is reported."""

    def update(self, done: int, total: int) -> None:
        """Nothing is reported."""


@pytest.fixture
def events() -> list[Event]:
    return many_events(random.Random(18), 300)


@pytest.fixture
async def former(redis_url: str, redis_prefix: str, events: list[Event]) -> NamedStore:
    """A store of layout 1."""
    async with AdministeredConnection(url_as_operator(redis_url), redis_prefix, timeout_s=TIMEOUT_S) as connection:
        await merge(connection, events)
        await turn_back(connection, Model(events).record_ids)
    return NamedStore(url_as_operator(redis_url), redis_prefix)


def unexpected(key: bytes, why: str) -> None:
    raise AssertionError(key, why)


async def test_it_is_refused_with_what_to_do(former: NamedStore) -> None:
    async with Connection(former.settings, timeout_s=TIMEOUT_S) as connection:
        with pytest.raises(StoreIncompatible, match=r"layout 1, written by replog 0\.1\.0.*`replog copy`.*Rebuilding"):
            await connection.check()


async def test_a_copy_takes_all_that_it_has(former: NamedStore, copied: Connection, events: list[Event]) -> None:
    into = NamedStore(former.redis_url, copied.prefix)
    await copy_between(former, into, progress=lambda *_: None, unreadable=unexpected)
    model = Model(events)
    assert await answers(copied, model) == expected(model)
    for record_id in model.record_ids:
        await assert_indexes_agree(copied, record_id)
    async with Connection(former.settings, timeout_s=TIMEOUT_S, layouts=COPYABLE) as connection:
        other = OtherStore(connection, unreadable=unexpected)
        verdict = await Verifier(copied, other, kept_since_ms=0, report=Quiet()).verify_all()
    assert (verdict.findings, verdict.unsettled) == ([], [])


async def test_a_copy_of_it_goes_through_a_file(
    former: NamedStore, copied: Connection, events: list[Event], tmp_path: Path
) -> None:
    file = tmp_path / "copy"
    into = NamedStore(former.redis_url, copied.prefix)
    await copy_between(former, file, progress=lambda *_: None, unreadable=unexpected)
    await copy_between(file, into, progress=lambda *_: None, unreadable=unexpected)
    assert await answers(copied, Model(events)) == expected(Model(events))


async def test_no_copy_goes_into_it(former: NamedStore, copied: Connection, events: list[Event]) -> None:
    await merge(copied, events)
    with pytest.raises(StoreIncompatible, match="layout 1"):
        await copy_between(
            NamedStore(former.redis_url, copied.prefix), former, progress=lambda *_: None, unreadable=unexpected
        )


async def test_nothing_is_left_of_it_once_it_is_dropped(former: NamedStore, redis_url: str) -> None:
    async with Connection(former.settings, timeout_s=TIMEOUT_S, layouts=COPYABLE) as connection:
        assert await drop(connection, progress=lambda *_: None) > 0
    left = []
    for server in servers_of(redis_url):
        with connected(server) as client:
            left += [key for key in client.scan_iter(f"{former.prefix}:*") if b":calls:" not in key]
    assert left == []


def test_files_of_it_are_read_and_those_of_others_are_refused() -> None:
    for layout in sorted(COPYABLE):
        head = [file_format.FORMAT, layout, "0.1.0", "id"]
        assert file_format.head_of(file_format.Frame(0, file_format.HEAD, head), "f").layout == layout
    with pytest.raises(FatalError, match=f"layout {LAYOUT + 1}; this version reads 1 and {LAYOUT}"):
        file_format.head_of(file_format.Frame(0, file_format.HEAD, [file_format.FORMAT, LAYOUT + 1, "9", "id"]), "f")
