"""The secret that posts are signed with: from a setting, or from a file that may change meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from replog.errors import SettingsError
from replog.redis_url import MASK
from replog.settings import variable
from replog.telemetry import logger
from replog_repair.notifying.signature import key_of

if TYPE_CHECKING:
    from replog.settings import NotifySettings


class Secret:
    """Gives the key of the present moment; None where posts are not signed."""

    def __init__(self, settings: NotifySettings) -> None:
        given, file = settings.notify_secret, settings.notify_secret_file
        self._path = None if file is None else Path(file)
        self._key = None if given is None else _key_of(given.get_secret_value())
        self._version: tuple[int, int] | None = None
        if self._path is not None:
            self._key, self._version = self._read(self._path)

    @property
    def key(self) -> bytes | None:
        """The key; a file is read again where it has changed. One that is not readable then leaves the key as it is."""
        if self._path is not None:
            try:
                if _version_of(self._path) != self._version:
                    self._key, self._version = self._read(self._path)
            except (OSError, SettingsError) as error:
                logger().warning("secret_unreadable", error=str(error))
        return self._key

    def _read(self, path: Path) -> tuple[bytes, tuple[int, int]]:
        try:
            version = _version_of(path)
            return key_of(path.read_text(encoding="utf-8").strip()), version
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"allowed: {error}"
            raise SettingsError(f"{variable('notify_secret_file')}={path} cannot be used: {reason}") from None


def _key_of(secret: str) -> bytes:
    try:
        return key_of(secret)
    except ValueError as error:
        raise SettingsError(f"{variable('notify_secret')}={MASK} is wrong; allowed: {error}") from None


def _version_of(path: Path) -> tuple[int, int]:
    """Changes whenever the file does, also by another file in its place."""
    found = path.stat()
    return found.st_mtime_ns, found.st_ino
