"""An export of details, received piece by piece and checked to be whole."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from replog.errors import FatalError
from replog_cli.client.api import record_path
from replog_cli.client.errors import ApiUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from replog_cli.client.api import Api

ExportFormat: TypeAlias = Literal["csv", "ndjson"]
#: What separates rows. A CSV cell may contain a line feed alone, which is no end of a row.
_ROW_ENDS: dict[ExportFormat, bytes] = {"csv": b"\r\n", "ndjson": b"\n"}


class ExportCut(ApiUnavailable):
    """The export is not whole."""


def receive(
    api: Api,
    record_id: str,
    export_format: ExportFormat,
    filters: Mapping[str, str],
    *,
    output: BinaryIO,
    received: Callable[[int], None],
) -> None:
    """Write an export to ``output``; ``received`` is called with the number of row ends in each piece.

    Raises:
        ApiRefused: the service refuses the request.
        ApiUnavailable: there is no answer, or the connection broke before the export was whole.
        ExportCut: an NDJSON export has no last line that says how many rows there are, or another number of rows.
    """
    rows = _Rows(_ROW_ENDS[export_format])
    with api.answer(record_path("detail/export", record_id), {"format": export_format, **filters}) as response:
        for piece in response.iter_bytes():
            output.write(piece)
            received(rows.count(piece))
    if export_format == "ndjson":
        rows.check_last_line()


class _Rows:
    """Row ends that came so far, and the end of the last row."""

    #: Bytes enough for the last line of an NDJSON export, ``{"rows":n}``, and the line feed before it.
    _TAIL_BYTES = 64

    def __init__(self, end: bytes) -> None:
        self._end = end
        self._number = 0
        self._tail = b""

    def count(self, piece: bytes) -> int:
        """Count the row ends that ``piece`` completes. An end may be divided between two pieces."""
        overlap = self._tail[-(len(self._end) - 1) :] if len(self._end) > 1 else b""
        ends = (overlap + piece).count(self._end)
        self._number += ends
        self._tail = (self._tail + piece)[-self._TAIL_BYTES :]
        return ends

    def check_last_line(self) -> None:
        """Raise ExportCut unless the last line is whole and says how many rows came before it."""
        rows = max(self._number - 1, 0)
        try:
            last = json.loads(self._tail.rstrip(b"\n").rpartition(b"\n")[2])
        except ValueError:
            last = None
        if not self._tail.endswith(b"\n") or last != {"rows": rows}:
            raise ExportCut(f"the export was cut off after {self._number} lines; try again")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name only when the block ends without an error; until then an earlier one stays.

    Raises:
        FatalError: the file cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as output:
                yield output
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FatalError(f"{path} cannot be written: {error.strerror}") from None


def _umask() -> int:
    # The mask can only be read by setting it. The command has one thread at this time.
    mask = os.umask(0)
    os.umask(mask)
    return mask
