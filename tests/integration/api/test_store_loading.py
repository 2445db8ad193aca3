"""A store that loads its data is told apart from one that is there, and waited for by nobody."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from tests.support.api.refusals import refused
from tests.support.query_service import serving

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


async def forgetful(reader: StreamReader, writer: StreamWriter) -> None:
    """Answer as a Redis whose AUTH was renamed: with what it was sent."""
    with contextlib.suppress(ConnectionError):
        while await reader.readline():
            writer.write(b"-ERR unknown command 'AUTH', with args beginning with: 'user' 'hunter2'\r\n")
    writer.close()


async def test_a_password_that_the_store_repeats_is_not_logged() -> None:
    """Only what it says beside it."""
    server = await asyncio.start_server(forgetful, "127.0.0.1", 0)
    _, port = server.sockets[0].getsockname()
    async with server, serving(f"redis://user:hunter2@127.0.0.1:{port}/0", "replog") as service:
        with capture_logs() as logs:
            refused(await service.get("list", "x"), 503, 250102)
            assert (await service.client.get("/readyz")).status_code == 503
    assert {line["event"] for line in logs} == {"store_unavailable", "not_ready"}
    assert all("unknown command 'AUTH'" in line["error"] for line in logs)
    assert "hunter2" not in str(logs)
