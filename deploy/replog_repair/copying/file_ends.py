"""A file as an end of a copy. It is written beside its place, and takes it once it is whole."""

from __future__ import annotations

import os
import uuid
from importlib.metadata import version
from typing import TYPE_CHECKING, Self

from replog.errors import FatalError
from replog.store.format.keys import BUCKETS
from replog.store.format.layout import LAYOUT
from replog_repair.copying.chunks import Chunk, Erasures, Records, Removed
from replog_repair.copying.file_format import (
    BUCKET,
    END,
    ERASURES,
    FORMAT,
    HEAD,
    MAGIC,
    RECORDS,
    REMOVED,
    BrokenFileError,
    erasures_of,
    frame,
    head_of,
    read_frame,
    records_content,
    records_of,
    removed_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from replog_repair.copying.file_format import Frame


class FileOrigin:
    """Reads a file, which is checked from end to end before anything of it is used.

    Raises:
        FatalError: the file cannot be opened, is broken, or is of a version that this one does not know.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise FatalError(f"{path} cannot be read: {error.strerror}") from None
        #: By bucket, where its frames begin, and its checkpoints.
        self._buckets: dict[int, tuple[int, dict[str, int]]] = {}
        self._bucket_at = 0
        try:
            self._rows = self._check()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def identity(self) -> str:
        """The id of the copy in the file."""
        return self._head.copy_id

    async def count(self) -> int:
        """The number of records and details in the file."""
        return self._rows

    async def checkpoints(self, bucket: int) -> Mapping[str, int]:
        """The checkpoints of a bucket."""
        return self._buckets[bucket][1]

    async def chunks(self, bucket: int) -> AsyncIterator[Chunk]:
        """All that the file has of a bucket."""
        self._file.seek(self._buckets[bucket][0])
        while (found := self._next()) and found.kind in (RECORDS, REMOVED, ERASURES):
            place = self._file.tell()
            yield self._chunk(found)
            self._file.seek(place)

    def _check(self) -> int:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise BrokenFileError(str(self._path), 0, "no copy begins so")
        self._head = head_of(self._next(), str(self._path))
        rows, self._bucket_at = 0, self._file.tell()
        while found := self._next():
            if found.kind == END:
                return self._checked_end(found, rows)
            rows += self._examine(found)
        raise BrokenFileError(str(self._path), self._file.tell(), "the end is missing: the file is cut off")

    def _examine(self, found: Frame) -> int:
        """Returns the number of rows in a frame, once it is known that it can be read."""
        try:
            if found.kind == BUCKET:
                number, checkpoints = found.content
                self._buckets[number] = (self._bucket_at, checkpoints)
                self._bucket_at = self._file.tell()
                return 0
            chunk = self._chunk(found)
        except (ValueError, TypeError) as error:
            raise BrokenFileError(str(self._path), found.offset, f"the frame has another content: {error}") from None
        return chunk.rows if isinstance(chunk, Records) else 0

    def _checked_end(self, found: Frame, rows: int) -> int:
        if found.content != [rows] or {*self._buckets} != {*range(BUCKETS)}:
            raise BrokenFileError(
                str(self._path), found.offset, f"the file should have {found.content}, and has {rows}"
            )
        if self._file.read(1):
            raise BrokenFileError(str(self._path), self._file.tell() - 1, "something follows the end")
        return rows

    def _chunk(self, found: Frame) -> Chunk:
        if found.kind == RECORDS:
            return Records(records_of(found.content))
        if found.kind == ERASURES:
            return Erasures(erasures_of(found.content))
        return Removed(removed_of(found.content))

    def _next(self) -> Frame | None:
        return read_frame(self._file, str(self._path))


class FileDestination:
    """Writes a file; one that is there is replaced once the new one is whole, and not before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._opened: BinaryIO | None = None
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened:
            self._opened.close()
            self._part.unlink(missing_ok=True)

    async def begin(self) -> None:
        """Open the file. Raises FatalError."""
        try:
            self._opened = self._part.open("wb")
        except OSError as error:
            raise self._failed(error) from None
        self._write(MAGIC + frame(HEAD, FORMAT, LAYOUT, version("replog"), uuid.uuid4().hex))

    async def has(self, bucket: int) -> bool:
        """Whether the file has the bucket: a copy to a file that was cut off begins anew."""
        return False

    async def write(self, bucket: int, chunk: Chunk) -> None:
        """Write a part of a bucket. Raises FatalError."""
        if isinstance(chunk, Records):
            self._rows += chunk.rows
            self._write(frame(RECORDS, *records_content(chunk.parts)))
        elif isinstance(chunk, Erasures):
            self._write(frame(ERASURES, *chunk.erased))
        else:
            self._write(frame(REMOVED, *chunk.records))

    async def complete(self, bucket: int, checkpoints: Mapping[str, int]) -> None:
        """Write the end of a bucket. Raises FatalError."""
        self._write(frame(BUCKET, bucket, dict(checkpoints)))

    async def finish(self) -> None:
        """Write the end, and put the file into its place. Raises FatalError."""
        self._write(frame(END, self._rows))
        file, self._opened = self._file, None
        try:
            with file:
                file.flush()
                os.fsync(file.fileno())
            self._part.replace(self._path)
        except OSError as error:
            raise self._failed(error) from None

    @property
    def _file(self) -> BinaryIO:
        if self._opened is None:
            raise ValueError("the file is not open")
        return self._opened

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> FatalError:
        return FatalError(f"{self._part} cannot be written: {error.strerror}")
