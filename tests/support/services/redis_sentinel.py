"""Two Redis servers of the tests' own, one the other's replica, and a Sentinel that appoints the master."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import redis

from tests.support.services import ServiceUnavailableError
from tests.support.services.process import ServerProcess, free_port, wait_until
from tests.support.services.redis import START_TIMEOUT_S, OwnRedis, answers, connected

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.services.redis_tls import RedisTls

#: What the Sentinel knows the master as.
NAME = "replog-test"
#: How long the servers may take until the replica is in step, or a failover is over.
AGREEMENT_TIMEOUT_S = 30.0
#: How long a server may be silent before the Sentinel takes it for dead. On a busy machine a living one easily is for
#: half a second; the Sentinel then replaces it by itself, and tells clients meanwhile that there is no master.
DOWN_AFTER_MS = 2000

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 1
sentinel down-after-milliseconds {name} {down_after}
sentinel failover-timeout {name} 3000
"""


class Passwords(NamedTuple):
    """What servers and Sentinel ask for."""

    servers: str
    sentinel: str


class RedisSentinel:
    """A master, its replica, and one Sentinel, whose word is enough; ``url`` is for `REPLOG_REDIS_URL`.

    All of them ask for ``passwords``, and speak ``tls``, if these are given.
    """

    def __init__(
        self, binary: Path, data_dir: Path, passwords: Passwords | None = None, tls: RedisTls | None = None
    ) -> None:
        self._passwords = passwords
        self._tls = tls
        password = passwords.servers if passwords else ""
        self.servers = [_server(binary, data_dir / f"server{number}", password, tls) for number in range(2)]
        self._port = free_port()
        place = f"127.0.0.1:{self._port}/{NAME}/0"
        self.url = tls.url_of(place, "rediss+sentinel") if tls else f"redis+sentinel://{place}"
        if passwords:
            mark = "&" if tls else "?"
            password = f"{mark}sentinel_password={passwords.sentinel}"
            self.url = self.url.replace("://", f"://:{passwords.servers}@") + password
        self._configuration = data_dir / "sentinel.conf"
        self._command = [str(binary), str(self._configuration), "--sentinel"]
        self._process = ServerProcess(data_dir / "sentinel.log")

    def start(self) -> None:
        """Start all, and return once the replica is in step and the Sentinel knows it.

        Raises:
            ServiceUnavailableError: they do not start or agree; nothing of them runs.
        """
        try:
            for server in self.servers:
                server.start()
            master, replica = self.servers
            self._follow(replica, master)
            self._configuration.write_text(self._configured(master.port), encoding="utf-8")
            self._process.start(self._command, lambda: answers(self._sentinel_url), START_TIMEOUT_S)
            self.wait_until_in_step()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all of them."""
        self._process.kill()
        for server in self.servers:
            server.close()

    @property
    def master(self) -> OwnRedis:
        """The one that the Sentinel says is the master."""
        _, port = self._ask("GET-MASTER-ADDR-BY-NAME", NAME)
        return next(server for server in self.servers if server.port == int(port))

    def bring_back(self, server: OwnRedis) -> None:
        """Start a ``server`` that was killed, as the master's replica: the Sentinel takes 10 s to say so to it."""
        server.start()
        self._follow(server, self.master)

    def fail_over(self) -> None:
        """Let the Sentinel begin to make the replica the master.

        Raises:
            ServiceUnavailableError: it does not want to.
        """
        if not wait_until(self._begins_failover, AGREEMENT_TIMEOUT_S):
            raise ServiceUnavailableError(f"the Sentinel began no failover in {AGREEMENT_TIMEOUT_S:.0f} s")

    def _begins_failover(self) -> bool:
        # It refuses while it does not hear of the replica.
        with contextlib.suppress(redis.ResponseError):
            return bool(self._ask("FAILOVER", NAME))
        return False

    def wait_until_in_step(self) -> None:
        """Return once master and replica are what the Sentinel says, and the replica has all that there is."""
        if not wait_until(self._is_in_step, AGREEMENT_TIMEOUT_S):
            raise ServiceUnavailableError(f"master and replica did not agree in {AGREEMENT_TIMEOUT_S:.0f} s")

    def _follow(self, server: OwnRedis, master: OwnRedis) -> None:
        with connected(server.url) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", master.port)

    def _is_in_step(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            master = self.master
            (replica,) = (server for server in self.servers if server is not master)
            leading, following = _role(master), _role(replica)
            if (leading[0], following[0]) != (b"master", b"slave"):
                return False
            _, port, state, reached = following[1:]
            in_step = (port, state, reached) == (master.port, b"connected", leading[1])
            return in_step and self._knows(replica)
        return False

    def _knows(self, replica: OwnRedis) -> bool:
        with connected(self._sentinel_url) as client:
            replicas = client.sentinel_slaves(NAME)
        return [(facts["port"], facts["flags"]) for facts in replicas] == [(replica.port, "slave")]

    @property
    def _sentinel_url(self) -> str:
        place = (f":{self._passwords.sentinel}@" if self._passwords else "") + f"127.0.0.1:{self._port}"
        return self._tls.url_of(place) if self._tls else f"redis://{place}"

    def _ask(self, *words: Any) -> Any:
        with connected(self._sentinel_url) as client:
            return client.execute_command("SENTINEL", *words)

    def _configured(self, master_port: int) -> str:
        configured = _CONFIGURATION.format(
            port=self._port,
            folder=self._configuration.parent,
            name=NAME,
            master=master_port,
            down_after=DOWN_AFTER_MS,
        )
        if self._passwords:
            configured += (
                f"requirepass {self._passwords.sentinel}\nsentinel auth-pass {NAME} {self._passwords.servers}\n"
            )
        if self._tls:
            options = self._tls.options(self._port)
            configured += "".join(
                f"{name.removeprefix('--')} {value}\n" for name, value in zip(options[::2], options[1::2], strict=True)
            )
        return configured


def start_sentinel(
    binary: Path, data_dir: Path, passwords: Passwords | None = None, tls: RedisTls | None = None
) -> RedisSentinel:
    """Start a master, a replica and a Sentinel that keep their data in ``data_dir``.

    Raises:
        ServiceUnavailableError: they cannot be started here.
    """
    sentinel = RedisSentinel(binary, data_dir, passwords, tls)
    sentinel.start()
    return sentinel


def _server(binary: Path, data_dir: Path, password: str, tls: RedisTls | None) -> OwnRedis:
    data_dir.mkdir(parents=True)
    # A replica waits this long for others before it is served; there are none.
    options: tuple[str, ...] = ("--repl-diskless-sync-delay", "0")
    if not password:
        return OwnRedis(binary, data_dir, options=options, tls=tls)
    options = (*options, "--requirepass", password, "--masterauth", password)
    server = OwnRedis(binary, data_dir, options=options, tls=tls)
    server.url = server.url.replace("://", f"://:{password}@")
    return server


def _role(server: OwnRedis) -> list[Any]:
    with connected(server.url) as client:
        found: list[Any] = client.execute_command("ROLE")
        return found
