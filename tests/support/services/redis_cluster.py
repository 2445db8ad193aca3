"""A Redis Cluster of the tests' own: three masters on the loopback, and slots that can be moved between them."""

from __future__ import annotations

from random import choice
from typing import TYPE_CHECKING, Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from tests.support.services import ServiceUnavailableError
from tests.support.services.process import is_free, wait_until
from tests.support.services.redis import OwnRedis, connected

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.services.redis_tls import RedisTls

MASTERS = 3
OPTIONS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
#: How long the nodes may take to agree.
AGREEMENT_TIMEOUT_S = 20.0
#: Nodes listen for each other at their port and this; Redis 6.2 cannot be told another.
BUS_OFFSET = 10_000
#: Where ports are looked for: these and their bus ports are none that Linux gives to connections by itself.
PORTS = range(12_000, 22_000)
MIGRATE_TIMEOUT_MS = 5000


class RedisCluster:
    """Masters with nothing but their slots; ``url`` is for `REPLOG_REDIS_URL`."""

    def __init__(
        self, binary: Path, data_dir: Path, options: tuple[str, ...] = (), *, tls: RedisTls | None = None
    ) -> None:
        if tls:
            options = ("--tls-cluster", "yes", *options)
        self.masters = [_master(binary, data_dir / f"master{number}", options, tls) for number in range(MASTERS)]
        addresses = ",".join(f"127.0.0.1:{master.port}" for master in self.masters)
        self.url = tls.url_of(addresses, "rediss+cluster") if tls else f"redis+cluster://{addresses}"

    def start(self) -> None:
        """Start the masters, and return once they serve all slots.

        Raises:
            ServiceUnavailableError: they do not start or agree; nothing of them runs.
        """
        try:
            for master in self.masters:
                master.start()
            self._share_slots()
            self._introduce()
            self._wait_until_agreed()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the masters."""
        for master in self.masters:
            master.close()

    def owner(self, slot: int) -> int:
        """The number of the master that serves ``slot``, by its own word."""
        return next(number for number in range(MASTERS) if slot in self._slots_of(number))

    def begin_move(self, slot: int, target: int) -> int:
        """Let ``slot`` begin to leave for the master ``target``; returns the number of the one that it leaves."""
        source = self.owner(slot)
        self._say(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self._id_of(source))
        self._say(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self._id_of(target))
        return source

    def move_keys(self, slot: int, source: int, target: int, *, at_once: int) -> int:
        """Move up to ``at_once`` keys of ``slot``; returns how many were there to be moved."""
        keys = self._say(source, "CLUSTER", "GETKEYSINSLOT", slot, at_once)
        if keys:
            port = self.masters[target].port
            self._say(source, "MIGRATE", "127.0.0.1", port, "", 0, MIGRATE_TIMEOUT_MS, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot: int, target: int) -> None:
        """Give ``slot``, whose keys are all there, to ``target``."""
        for number in sorted(range(MASTERS), key=lambda number: number != target):
            self._say(number, "CLUSTER", "SETSLOT", slot, "NODE", self._id_of(target))

    def _share_slots(self) -> None:
        for number in range(MASTERS):
            self._say(number, "CLUSTER", "ADDSLOTS", *_share(number))
            # Nodes that all begin with epoch 0 take seconds longer to agree.
            self._say(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)

    def _introduce(self) -> None:
        for master in self.masters[1:]:
            self._say(0, "CLUSTER", "MEET", "127.0.0.1", master.port)

    def _wait_until_agreed(self) -> None:
        if not wait_until(lambda: all(map(self._is_ok, range(MASTERS))), AGREEMENT_TIMEOUT_S):
            raise ServiceUnavailableError(f"the nodes of the cluster did not agree in {AGREEMENT_TIMEOUT_S:.0f} s")

    def _is_ok(self, number: int) -> bool:
        covered = sum(last - first + 1 for first, last, *_ in self._say(number, "CLUSTER", "SLOTS"))
        return b"cluster_state:ok" in self._say(number, "CLUSTER", "INFO") and covered == REDIS_CLUSTER_HASH_SLOTS

    def _slots_of(self, number: int) -> set[int]:
        mine = self._id_of(number)
        ranges = self._say(number, "CLUSTER", "SLOTS")
        return {slot for first, last, owner, *_ in ranges if owner[2] == mine for slot in range(first, last + 1)}

    def _id_of(self, number: int) -> bytes:
        found: bytes = self._say(number, "CLUSTER", "MYID")
        return found

    def _say(self, number: int, *words: Any) -> Any:
        with connected(self.masters[number].url) as client:
            return client.execute_command(*words)


def start_cluster(
    binary: Path, data_dir: Path, options: tuple[str, ...] = (), *, tls: RedisTls | None = None
) -> RedisCluster:
    """Start a cluster that keeps its data in ``data_dir``; each master has these ``options`` too, and ``tls``.

    Raises:
        ServiceUnavailableError: it cannot be started here.
    """
    cluster = RedisCluster(binary, data_dir, options, tls=tls)
    cluster.start()
    return cluster


def _master(binary: Path, data_dir: Path, options: tuple[str, ...], tls: RedisTls | None) -> OwnRedis:
    data_dir.mkdir(parents=True)
    return OwnRedis(binary, data_dir, port=_free_port(), options=(*OPTIONS, *options), tls=tls)


def _free_port() -> int:
    """A free port whose bus port is free too."""
    port = choice(PORTS)
    while not (is_free(port) and is_free(port + BUS_OFFSET)):
        port = choice(PORTS)
    return port


def _share(number: int) -> range:
    size = REDIS_CLUSTER_HASH_SLOTS // MASTERS + 1
    return range(number * size, min((number + 1) * size, REDIS_CLUSTER_HASH_SLOTS))
