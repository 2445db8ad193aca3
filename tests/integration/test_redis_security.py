"""Every way into a Redis that lets not everybody in: TLS, users, Sentinels with passwords, clusters with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import uuid
from random import Random
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from replog.errors import StoreUnavailable
from replog.settings import StoreSettings, load
from replog.store.client.connection import Connection
from replog.store.write.writer import Writer
from tests.support.certificates import Authority
from tests.support.model import Model
from tests.support.services import redis_acl
from tests.support.services.redis import OwnRedis, connected
from tests.support.services.redis_cluster import start_cluster
from tests.support.services.redis_sentinel import Passwords, start_sentinel
from tests.support.services.redis_tls import RedisTls, has_tls
from tests.support.services.report import REPORT
from tests.support.store.answers import answers, expected
from tests.support.store.batches import batch_of, many_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.services.redis_cluster import RedisCluster
    from tests.support.services.redis_sentinel import RedisSentinel

TIMEOUT_S = 30.0
USER, PASSWORD, OTHER = "secured", "of-the-tests", "another-one"


@pytest.fixture(scope="module")
def tls(pytestconfig: pytest.Config, redis_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> RedisTls:
    if not has_tls(redis_binary):
        pytestconfig.stash[REPORT].miss_redis(f"with TLS: {redis_binary} was built without it")
        pytest.skip(f"{redis_binary} was built without TLS")
    return RedisTls(tmp_path_factory.mktemp("redis-tls") / "authority")


@pytest.fixture(scope="module")
def server(redis_binary: Path, tls: RedisTls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    running = OwnRedis(redis_binary, tmp_path_factory.mktemp("redis"), tls=tls)
    running.start()
    set_password(running, PASSWORD)
    yield running
    running.close()


@pytest.fixture(scope="module")
def cluster(redis_binary: Path, tls: RedisTls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    running = start_cluster(redis_binary, tmp_path_factory.mktemp("cluster"), tls=tls)
    for master in running.masters:
        set_password(master, PASSWORD)
    yield running
    running.close()


@pytest.fixture(scope="module")
def sentinel(redis_binary: Path, tls: RedisTls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    passwords = Passwords(PASSWORD, "of-the-sentinel")
    running = start_sentinel(redis_binary, tmp_path_factory.mktemp("sentinel"), passwords, tls)
    yield running
    running.close()


def set_password(server: OwnRedis, password: str) -> None:
    """Make a collector's user with this password and no other; connections go on."""
    documented = redis_acl.rules_of(redis_acl.COLLECTOR)
    rules = [f">{password}" if rule.startswith(">") else rule for rule in documented]
    with connected(server.url) as client:
        redis_acl.make_user(client, USER, ["resetpass", *rules])


def as_user(url: str, password: str = PASSWORD) -> str:
    return url.replace("://", f"://{USER}:{password}@", 1)


def settings(url: str | None = None, file: Path | None = None) -> StoreSettings:
    """Settings with a prefix of their own."""
    prefix = f"{redis_acl.PREFIX}-{uuid.uuid4().hex}"
    if url is None:
        return load(StoreSettings, redis_url_file=file, redis_prefix=prefix)
    return load(StoreSettings, redis_url=url, redis_prefix=prefix)


async def keeps_what_is_written(url: str) -> None:
    """Require that a store at ``url`` answers what was merged into it."""
    events = many_events(Random(1), 20)
    model = Model(events)
    async with Connection(settings(url), timeout_s=TIMEOUT_S) as connection:
        await connection.check()
        await Writer(connection).merge(batch_of(events))
        assert await answers(connection, model) == expected(model)


async def trouble_with(url: str) -> StoreUnavailable:
    """The error of a connection to ``url``."""
    async with Connection(settings(url), timeout_s=TIMEOUT_S) as connection:
        with pytest.raises(StoreUnavailable) as unavailable:
            await connection.check()
    await closing_ends()
    assert PASSWORD not in str(unavailable.value)
    return unavailable.value


async def closing_ends() -> None:
    """Return once no transport is closing: the driver does not wait for the end of TLS where a server refuses it.

    A process goes on; the event loop of a test would end before.
    """
    async with asyncio.timeout(TIMEOUT_S):
        while any(is_closing(one) for one in gc.get_objects() if issubclass(type(one), asyncio.Transport)):
            await asyncio.sleep(0.01)


def is_closing(transport: asyncio.Transport) -> bool:
    # One of TLS that is closed has lost what it asks.
    with contextlib.suppress(AttributeError):
        socket = transport.get_extra_info("socket")
        return transport.is_closing() and socket is not None and socket.fileno() != -1
    return False


async def test_a_user_with_tls(server: OwnRedis) -> None:
    await keeps_what_is_written(as_user(server.url))


async def test_a_user_of_a_cluster_with_tls(cluster: RedisCluster) -> None:
    await keeps_what_is_written(as_user(cluster.url))


async def test_sentinels_and_servers_with_passwords_and_tls(sentinel: RedisSentinel) -> None:
    await keeps_what_is_written(sentinel.url)


async def test_a_server_that_is_not_trusted(server: OwnRedis, tls: RedisTls, tmp_path: Path) -> None:
    """Unless the URL says that nobody is to be checked."""
    other = Authority(tmp_path / "other").file
    error = await trouble_with(as_user(server.url).replace(str(tls.authority.file), str(other)))
    assert error.kind == "connection"
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    unchecked = as_user(f"rediss://127.0.0.1:{server.port}/0?ssl_cert_reqs=none")
    await keeps_what_is_written(unchecked)


async def test_a_wrong_password(server: OwnRedis, cluster: RedisCluster, sentinel: RedisSentinel) -> None:
    """Is told as what it is, and not quoted."""
    for url in (
        as_user(server.url, OTHER),
        as_user(cluster.url, OTHER),
        sentinel.url.replace(f":{PASSWORD}@", f":{OTHER}@"),
    ):
        error = await trouble_with(url)
        assert "invalid username-password pair" in str(error)
        assert OTHER not in str(error)


async def test_a_wrong_password_of_the_sentinels(sentinel: RedisSentinel) -> None:
    """They have passwords of their own, and name no master then."""
    error = await trouble_with(sentinel.url.replace("of-the-sentinel", OTHER))
    assert error.kind == "connection"
    assert OTHER not in str(error)


async def test_a_password_in_a_file_is_rotated(server: OwnRedis, tmp_path: Path) -> None:
    """Connections that are open go on, and new ones have the new password: nothing is restarted."""
    file = tmp_path / "url"
    file.write_text(as_user(server.url) + "\n")
    async with Connection(settings(file=file), timeout_s=TIMEOUT_S) as connection:
        await connection.check()
        set_password(server, OTHER)
        try:
            await connection.check()
            with connected(server.url) as client:
                client.client_kill_filter(user=USER)
            with pytest.raises(StoreUnavailable):
                await connection.check()
            with capture_logs() as lines:
                file.write_text(as_user(server.url, OTHER) + "\n")
                async with asyncio.timeout(TIMEOUT_S):
                    await connection.check()
            assert [line["event"] for line in lines] == ["secret_reloaded"]
        finally:
            set_password(server, PASSWORD)
    await closing_ends()
