"""What the run's report says at its end: which servers the tests had, and what did not run without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.services.kafka import Broker
    from tests.services.redis import RedisServer


@dataclass
class ServiceReport:
    """Collects, while the tests run, what to say about their servers."""

    _lines: list[str] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)
    _wanting: list[str] = field(default_factory=list)

    def use_kafka(self, broker: Broker, passed_over: list[str]) -> None:
        """Note the broker, and why better ones were not taken."""
        self._lines.append(f"Kafka: {broker.kind} ({broker.version}) at {broker.address}")
        self._warnings.extend(f"passed over for Kafka: {why}" for why in passed_over)

    def use_redis(self, server: RedisServer, version: str) -> None:
        """Note the Redis."""
        self._lines.append(f"Redis: {server.kind} ({version})")

    def use_cluster(self, version: str) -> None:
        """Note the Redis Cluster."""
        self._lines.append(f"Redis Cluster: three masters ({version})")

    def miss_redis(self, why: str) -> None:
        """Note that there is no Redis, and so that its tests are skipped."""
        self._warnings.append(f"NO REDIS, its tests did not run: {why}")

    def want_broker(self, test: str) -> None:
        """Note a test that was skipped because the broker is the embedded one."""
        self._wanting.append(test)

    def write(self, terminal: pytest.TerminalReporter) -> None:
        """Write the report's section, where any server was asked for."""
        if not (self._lines or self._warnings):
            return
        terminal.section("servers the tests ran against")
        for line in self._lines:
            terminal.write_line(line)
        for warning in self._warnings:
            terminal.write_line(warning, yellow=True)
        if self._wanting:
            terminal.write_line(f"NO REAL BROKER, {len(self._wanting)} tests DID NOT RUN:", red=True, bold=True)
            for test in self._wanting:
                terminal.write_line(f"  {test}", red=True)


#: Where the run keeps its report.
REPORT = pytest.StashKey[ServiceReport]()
