"""The data folder of the local stack, which is locked, and its ports."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog.errors import FatalError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class DataFolder:
    """The folder given by ``--data``, and its subfolders."""

    root: Path

    @property
    def redis(self) -> Path:
        """Folder of the append-only file."""
        return self.root / "redis"

    @property
    def logs(self) -> Path:
        """Folder of the log files: one for each process, of the last start."""
        return self.root / "logs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder and lock it.

        Raises:
            FatalError: the folder cannot be written, or another ``replog up`` uses it.
        """
        try:
            self.redis.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            lock = (self.root / "lock").open("w")
        except OSError as error:
            raise FatalError(f"the data folder {self.root} cannot be used: {error}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FatalError(f"another `replog up` runs on {self.root}; name another folder with --data") from None
            yield


def dialled(host: str, port: int) -> str:
    """``host:port`` in a URL for clients on this machine; a wildcard address becomes loopback."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - of IP
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_free(host: str, port: int) -> int:
    """Check that a server can listen on ``port``. Returns the port, or a free one for 0.

    Raises:
        SettingsError: the port cannot be used; the text says why.
    """
    try:
        return _bind(host, port)
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(f"port {port} of {host} cannot be used ({why}); choose another with --port") from None


def free_port(preferred: int, host: str = "127.0.0.1") -> int:
    """``preferred`` if it is free, otherwise another free port."""
    try:
        return _bind(host, preferred)
    except OSError:
        return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Servers do the same: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        bound: int = probe.getsockname()[1]
        return bound
