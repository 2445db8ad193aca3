"""The local stack's folder and ports."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from replog.errors import FatalError, SettingsError
from replog_local.places import DataFolder, check_free, dialled, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of the loopback that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_folder_has_one_stack_at_a_time(tmp_path: Path) -> None:
    """The second is told so; after the first it may."""
    folder = DataFolder(tmp_path / "data")
    with (
        folder.locked(),
        pytest.raises(FatalError, match="another `replog up` runs on"),
        DataFolder(tmp_path / "data").locked(),
    ):
        pass
    with folder.locked():
        assert folder.redis.is_dir()
        assert folder.logs.is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Here a file is in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match="file cannot be used"), DataFolder(tmp_path / "file").locked():
        pass


def test_the_preferred_port_is_taken_where_it_is_free(taken_port: int) -> None:
    """Else another one."""
    assert free_port(taken_port) != taken_port
    free = free_port(0)
    assert free_port(free) == free


def test_a_taken_port_is_a_wrong_setting(taken_port: int) -> None:
    """The message says which and what to do."""
    with pytest.raises(SettingsError, match=rf"port {taken_port} of 127\.0\.0\.1 .* choose another with --port"):
        check_free("127.0.0.1", taken_port)


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1:80"), ("::", "[::1]:80"), ("::1", "[::1]:80"), ("localhost", "localhost:80")],
)
def test_how_a_client_dials_a_host(host: str, address: str) -> None:
    """Unspecified addresses are for servers."""
    assert dialled(host, 80) == address
