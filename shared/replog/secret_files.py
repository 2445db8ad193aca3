"""Secrets in files: read when the process starts, and again whenever the file changes.

A secret may be renewed while the process runs. Kubernetes does so by swapping a symbolic link, which only the file that
the link leads to shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from replog.errors import SettingsError
from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

T = TypeVar("T")


def read_secret(path: Path) -> str:
    """The text of a file, without the newlines at its end.

    Raises:
        ValueError: it cannot be read, or is empty. The text is to follow the file's name in a message.
    """
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if not text:
        raise ValueError("is empty")
    return text


class Reloaded(Generic[T]):
    """A value that ``make`` makes of ``files``, and makes anew once one of them has changed; of no files, once.

    If that fails, the former value stays, and the failure is logged, once for each change. ``make`` raises ValueError,
    OSError or SettingsError; the first time, the caller gets the error.
    """

    def __init__(self, files: Iterable[Path], make: Callable[[], T]) -> None:
        self._files = tuple(files)
        self._make = make
        # Taken before the files are read: what changes meanwhile is read again.
        self._versions = self._found()
        self._value = make()

    @property
    def value(self) -> T:
        """The value of the present moment. Costs a look at each file."""
        found = self._found()
        if found != self._versions:
            self._versions = found
            self._renew()
        return self._value

    def _renew(self) -> None:
        files = [str(file) for file in self._files]
        try:
            self._value = self._make()
        except (OSError, ValueError, SettingsError) as error:
            logger().warning("secret_unreadable", files=files, error=str(error))
        else:
            logger().info("secret_reloaded", files=files)

    def _found(self) -> list[tuple[int, ...] | None]:
        return [_version_of(file) for file in self._files]


def _version_of(file: Path) -> tuple[int, ...] | None:
    """A value that changes when the file does, also if another takes its place; None while there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
