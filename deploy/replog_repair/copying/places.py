"""The two places of a copy, as operators name them, opened for it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from replog.errors import FatalError
from replog.store.client.connection import Connection
from replog.store.client.rights import OPERATOR
from replog.store.format.layout import COPYABLE, READABLE
from replog_repair.copying.copier import Copied, copy
from replog_repair.copying.file_ends import FileDestination, FileOrigin
from replog_repair.copying.store_ends import StoreDestination, StoreOrigin
from replog_repair.patience import PatientRunner
from replog_repair.stores import NamedStore, is_store, store_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from replog.settings import StoreSettings
    from replog_repair.copying.chunks import Destination, Origin

#: A store, or a file.
Place: TypeAlias = NamedStore | Path

#: Seconds that Redis may take for one pipeline of calls.
TIMEOUT_S = 30.0


def place_of(text: str, default: StoreSettings) -> Place:
    """The place that ``text`` names; empty: the store of the settings. Raises SettingsError."""
    return store_of(text, default) if not text or is_store(text) else Path(text)


def shown(place: Place) -> str:
    """The place in messages, without secrets."""
    return place.shown if isinstance(place, NamedStore) else str(place)


async def copy_between(
    origin: Place,
    destination: Place,
    *,
    progress: Callable[[int, int], None],
    unreadable: Callable[[bytes, str], None],
) -> Copied:
    """Copy a store into another, into a file, or a file into a store.

    ``unreadable`` is called with a key of the origin and the reason, where somebody wrote something else to it.

    Raises:
        FatalError: a place cannot be used.
        StoreUnavailable: a Redis did not answer for too long. Run it again: it goes on.
    """
    if origin == destination:
        raise FatalError(f"{shown(origin)} is both what is copied and where it goes to; name another store or file")
    if isinstance(origin, Path) and isinstance(destination, Path):
        raise FatalError("one of the two places has to be a store: a file is copied by other programs")
    async with AsyncExitStack() as opened:
        source = await opened.enter_async_context(_origin(origin, unreadable))
        target = await opened.enter_async_context(_destination(destination, source.identity))
        return await copy(source, target, progress=progress)


@asynccontextmanager
async def _origin(place: Place, unreadable: Callable[[bytes, str], None]) -> AsyncIterator[Origin]:
    if isinstance(place, Path):
        with FileOrigin(place) as file:
            yield file
        return
    async with opened_store(place, layouts=COPYABLE) as connection:
        yield StoreOrigin(PatientRunner(connection), identity=place.shown, unreadable=unreadable)


@asynccontextmanager
async def _destination(place: Place, origin: str) -> AsyncIterator[Destination]:
    if isinstance(place, Path):
        with FileDestination(place) as file:
            yield file
        return
    async with opened_store(place) as connection:
        yield StoreDestination(PatientRunner(connection), origin=origin, epoch=lambda: connection.epoch)


@asynccontextmanager
async def opened_store(place: NamedStore, layouts: Collection[int] = READABLE) -> AsyncIterator[Connection]:
    """A connection to the store, which has one of ``layouts``. Raises StoreIncompatible, StoreUnavailable."""
    async with Connection(place.settings, timeout_s=TIMEOUT_S, rights=OPERATOR, layouts=layouts) as connection:
        await connection.check()
        yield connection
