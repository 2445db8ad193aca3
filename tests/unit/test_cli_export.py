"""An export that breaks off, or lacks its last line, is an error and leaves no file under its name."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from replog.errors import FatalError
from replog.settings import ClientSettings
from replog_cli.client.api import Api
from replog_cli.client.errors import ApiUnavailable
from replog_cli.client.export_file import ExportCut, receive, whole_file
from tests.support.http_server import QuietHandler, serving_http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from replog_cli.client.export_file import ExportFormat

ROWS = b'{"id":"a"}\n{"id":"b"}\n'


@contextmanager
def served(pieces: list[bytes], *, whole: bool) -> Iterator[Api]:
    """A client of a server that sends ``pieces`` as chunks, and then the end of the body if it is ``whole``."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if whole:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

    with (
        serving_http(Handler, "export") as port,
        Api(ClientSettings(api_url=f"http://127.0.0.1:{port}", api_token=None)) as api,
    ):
        yield api


def received(export_format: ExportFormat, pieces: list[bytes], *, whole: bool = True) -> tuple[bytes, int]:
    """The export that the client got, and the row ends that it counted."""
    output, counts = io.BytesIO(), list[int]()
    with served(pieces, whole=whole) as api:
        receive(api, "r", export_format, {}, output=output, received=counts.append)
    return output.getvalue(), sum(counts)


def test_a_whole_export_is_as_it_was_sent() -> None:
    """However it is divided; an end of a row may be, too."""
    assert received("ndjson", [ROWS, b'{"rows":', b"2}\n"]) == (ROWS + b'{"rows":2}\n', 3)
    assert received("ndjson", [b'{"rows":0}\n']) == (b'{"rows":0}\n', 1)
    assert received("csv", [b"id,reason\r", b'\na,"two\nlines"\r\n']) == (b'id,reason\r\na,"two\nlines"\r\n', 2)


@pytest.mark.parametrize(
    "body",
    [ROWS, ROWS + b'{"rows":3}\n', ROWS + b'{"rows":2}', ROWS + b'{"rows":', b"", b'{"id":"' + b"x" * 500 + b'"}\n'],
    ids=["no last line", "rows missing", "no line feed", "cut in the last line", "empty", "long row"],
)
def test_an_ndjson_export_without_its_last_line_is_an_error(body: bytes) -> None:
    """Also where the body itself is complete, as a proxy may make it."""
    with pytest.raises(ExportCut, match="the export was cut off"):
        received("ndjson", [body] if body else [])


@pytest.mark.parametrize("export_format", ["csv", "ndjson"])
def test_a_connection_that_breaks_is_an_error(export_format: ExportFormat) -> None:
    """In either form."""
    with pytest.raises(ApiUnavailable, match="broke"):
        received(export_format, [ROWS], whole=False)


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """An earlier one stays until then, and nothing else stays."""
    path = tmp_path / "export.csv"
    path.write_bytes(b"earlier")
    with served([ROWS], whole=True) as api, pytest.raises(ExportCut), whole_file(path) as file:
        receive(api, "r", "ndjson", {}, output=file, received=lambda _: None)
    assert path.read_bytes() == b"earlier"
    with whole_file(path) as file:
        file.write(b"whole")
        assert path.read_bytes() == b"earlier"
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """It names the file."""
    path = tmp_path / "missing" / "export.csv"
    with pytest.raises(FatalError, match=r"export\.csv cannot be written: No such file"), whole_file(path):
        pass
