"""Commands on the wire: hiredis writes them as the driver itself does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection

from replog.store.client.packing import packing

words = st.binary() | st.text() | st.integers(-(2**63), 2**63 - 1)


@given(st.sampled_from(["GET", "SCRIPT LOAD", "EVALSHA"]), st.lists(words))
def test_commands_are_written_as_the_driver_writes_them(name: str, arguments: list[bytes | str | int]) -> None:
    """Of any length, with bytes, texts and numbers."""
    ours, drivers = packing(Connection)(), Connection()
    assert b"".join(ours.pack_command(name, *arguments)) == b"".join(drivers.pack_command(name, *arguments))


@pytest.mark.parametrize("kind", [Connection, SSLConnection, UnixDomainSocketConnection])
def test_connections_stay_what_they_are(kind: type) -> None:
    """Of the driver's class, encrypted or not."""
    assert issubclass(packing(kind), kind)
