"""A store that loads its data is told apart from one that is there, and waited for by nobody."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from tests.integration.api.service import serving
from tests.integration.api.test_errors import refused

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter


async def loading(reader: StreamReader, writer: StreamWriter) -> None:
    """Answer as Redis does while it reads its file: an error to each command, which begins with its number of words."""
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            if line.startswith(b"*"):
                writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
    writer.close()


async def test_a_store_that_loads_its_data_is_no_store_yet() -> None:
    """503 at once, and the log says which trouble it is."""
    server = await asyncio.start_server(loading, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, serving(f"redis://{host}:{port}/0", "replog") as service:
        with capture_logs() as logs:
            for endpoint in ("list", "overview", ""):
                answer = await service.get(endpoint, "x")
                refused(answer, 503, 250102)
                assert int(answer.headers["retry-after"]) > 0
        assert {(line["event"], line["kind"]) for line in logs} == {("store_unavailable", "loading")}
        assert (await service.client.get("/readyz")).status_code == 503
