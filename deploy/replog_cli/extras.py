"""Optional parts of the installation, which some commands need."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from replog.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def extra(name: str, command: str) -> Iterator[None]:
    """Import what ``command`` needs of the extra ``name`` in this block.

    Raises:
        FatalError: the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise FatalError(
            f"replog {command} needs the extra {name} ({error.name} is missing); install replog[{name}]"
        ) from None
