"""Tokens are rotated by their file, while clients send requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from replog_api.admission.waiting_clients import Timings
from tests.support.api.tokens import bearer
from tests.support.live import DEADLINE_S, Viewer, live, until
from tests.support.query_service import BASE, event, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.live import LiveService

INTERVAL_S = 0.02
TIMINGS = Timings(interval_s=0.05)


def put(file: Path, *secrets: str) -> None:
    """Put tokens of these secrets, and as many names, into the place of the file."""
    new = file.with_name("new")
    new.write_text("".join(f"{secret}-name:{sha256(secret.encode()).hexdigest()}\n" for secret in secrets))
    new.rename(file)


async def status(service: LiveService, secret: str) -> int:
    """What a request with a token gets."""
    return (await service.client.get(f"{BASE}/r", headers=bearer(secret))).status_code


async def status_becomes(service: LiveService, secret: str, expected: int) -> None:
    """Return once it is that."""
    async with asyncio.timeout(DEADLINE_S):
        while await status(service, secret) != expected:
            await asyncio.sleep(INTERVAL_S)


@asynccontextmanager
async def rotated(redis_url: str, redis_prefix: str, file: Path) -> AsyncIterator[LiveService]:
    """A service over the record ``r`` with the tokens of ``file``."""
    await write(redis_url, redis_prefix, [event("record.started")])
    async with live(
        redis_url,
        redis_prefix,
        timings=TIMINGS,
        token_interval_s=INTERVAL_S,
        api_tokens_file=file,
        api_requests_per_s=0,
    ) as service:
        yield service


async def test_a_rotation_refuses_no_valid_token(redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
    """Clients move from the old token to the new one while both are valid, as they do in a deployment."""
    file = tmp_path / "tokens"
    put(file, "old")
    answers: Counter[int] = Counter()
    async with rotated(redis_url, redis_prefix, file) as service:
        used, stopped = "old", False

        asking = dict.fromkeys(range(4), used)

        async def ask(number: int) -> None:
            while not stopped:
                asking[number] = used
                answers[await status(service, used)] += 1

        clients = [asyncio.create_task(ask(number), name="client") for number in asking]
        for generation in range(5):
            new = f"new{generation}"
            assert await status(service, new) == 401
            put(file, used, new)
            await status_becomes(service, new, 200)
            left, used = used, new
            # Requests with the old token are answered first, each client's.
            await until(lambda left=left: left not in asking.values())  # type: ignore[misc]
            put(file, new)
            await status_becomes(service, left, 401)
        stopped = True
        await asyncio.gather(*clients)
    assert answers.keys() == {200}


async def test_a_file_that_cannot_be_used_leaves_the_tokens(redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
    """It is logged, and the next one that can be used is."""
    file = tmp_path / "tokens"
    put(file, "one")
    async with rotated(redis_url, redis_prefix, file) as service:
        for broken in ("one:not-a-hash", "", None):
            with capture_logs() as lines:
                if broken is None:
                    file.unlink()
                else:
                    file.write_text(broken)
                await until(lambda lines=lines: any(line["event"] == "secret_unreadable" for line in lines))  # type: ignore[misc]
            assert [line["files"] for line in lines if line["event"] == "secret_unreadable"] == [[str(file)]]
            assert await status(service, "one") == 200
        put(file, "other")
        await status_becomes(service, "other", 200)
        assert await status(service, "one") == 401


async def test_what_a_gone_token_streams_ends(redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
    """It would otherwise go on for as long as its record runs. Other streams go on."""
    file = tmp_path / "tokens"
    put(file, "leaver", "stayer")
    async with (
        rotated(redis_url, redis_prefix, file) as service,
        Viewer(service, **bearer("leaver")) as leaver,
        Viewer(service, **bearer("stayer")) as stayer,
    ):
        await until(lambda: leaver.kinds == stayer.kinds == ["snapshot"])
        put(file, "stayer")
        await until(lambda: leaver.over)
        assert await status(service, "leaver") == 401
        await write(redis_url, redis_prefix, [event("detail.started")])
        await until(lambda: stayer.kinds == ["snapshot", "change"])


async def test_metrics_of_a_new_token_begin_at_0(redis_url: str, redis_prefix: str, tmp_path: Path) -> None:
    """A counter that began at 1 would have no increase."""
    file = tmp_path / "tokens"
    put(file, "one")
    async with rotated(redis_url, redis_prefix, file) as service:
        sample = 'replog_token_requests_total{token="later-name"}'
        assert sample not in (await service.client.get("/metrics")).text
        put(file, "one", "later")
        async with asyncio.timeout(DEADLINE_S):
            while f"{sample} 0.0" not in (await service.client.get("/metrics")).text:
                await asyncio.sleep(INTERVAL_S)
        assert await status(service, "later") == 200
        await service.metric_is(sample, 1)
