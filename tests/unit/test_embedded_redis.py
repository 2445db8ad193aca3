"""Where a Redis server's binary is found, and how it is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from replog.errors import FatalError
from replog_local import embedded_redis
from replog_local.embedded_redis import answers, find_server, redis_command


def test_the_server_on_the_path_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Valkey counts where there is no Redis."""
    server = tmp_path / "valkey-server"
    server.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == server


def test_no_server_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a file that is not found."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(embedded_redis, "bundled_server", lambda: None)
    with pytest.raises(FatalError, match="install redis-server"):
        find_server()


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
