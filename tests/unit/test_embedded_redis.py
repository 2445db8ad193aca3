"""Where a Redis server's binary is found, and how it is started."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from replog.errors import FatalError
from replog_local.embedded_redis import answers, bundled_server, find_server, packaged_binary, redis_command


def test_the_server_on_the_path_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Valkey counts where there is no Redis."""
    server = tmp_path / "valkey-server"
    server.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == server


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the package has binaries for glibc and macOS")
def test_without_one_there_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """On every Python that the project supports."""
    monkeypatch.setenv("PATH", "")
    server = find_server()
    assert server == bundled_server()
    assert b"Valkey server" in subprocess.run([server, "--version"], capture_output=True, check=True).stdout


def test_no_server_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for which platform there is none in the package, instead of a file that is not found."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    with pytest.raises(FatalError, match=r"install redis-server or valkey-server .* \(Plan9 "):
        find_server()


@pytest.mark.parametrize(("package", "place"), [("replog_no_such_package", "server"), ("replog_local", "bin/server")])
def test_a_package_or_file_that_is_missing_is_no_server(package: str, place: str) -> None:
    assert packaged_binary(package, place) is None


def test_the_server_keeps_every_write_and_listens_to_this_machine_alone() -> None:
    """Each option is a word of its own, the empty one too."""
    command = redis_command(6400, Path("/data/redis"), server=Path("/bin/redis-server"))
    words = " ".join(command)
    assert words.startswith("/bin/redis-server --bind 127.0.0.1 --port 6400 ")
    assert "--dir /data/redis --appendonly yes" in words
    assert command[command.index("--save") + 1] == ""


def test_nobody_answers_where_nobody_listens() -> None:
    """A refused connection is no error."""
    assert not answers(1)
