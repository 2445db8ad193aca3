"""What the run's report says at its end: which servers the tests had, and what did not run without them.

Each process of the run (pytest-xdist) has servers of its own, and hands in what it noted when it ends.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.services.kafka import Broker
    from tests.support.services.redis import RedisServer


@dataclass
class ServiceReport:
    """Collects, while the tests run, what to say about their servers."""

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    wanting: list[str] = field(default_factory=list)

    def use_kafka(self, broker: Broker, passed_over: list[str]) -> None:
        """Note the broker, and why better ones were not taken."""
        self.lines.append(f"Kafka: {broker.kind} ({broker.version}) at {broker.address}")
        self.warnings.extend(f"passed over for Kafka: {why}" for why in passed_over)

    def use_redis(self, server: RedisServer, version: str) -> None:
        """Note the Redis."""
        self.lines.append(f"Redis: {server.kind} ({version})")

    def use_cluster(self, version: str) -> None:
        """Note the Redis Cluster."""
        self.lines.append(f"Redis Cluster: three masters ({version})")

    def miss_redis(self, why: str) -> None:
        """Note that there is no Redis, and so that its tests are skipped."""
        self.warnings.append(f"NO REDIS, its tests did not run: {why}")

    def use_browser(self, version: str) -> None:
        """Note the browser, once."""
        line = f"browser: Chromium {version}"
        if line not in self.lines:
            self.lines.append(line)

    def miss_browser(self, why: str) -> None:
        """Note that there is no browser, and so that the tests of the web page are skipped."""
        warning = f"NO BROWSER, the tests of the web page did not run: {why}"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def want_broker(self, test: str) -> None:
        """Note a test that was skipped because the broker is the embedded one."""
        self.wanting.append(test)

    def handed_in(self) -> dict[str, list[str]]:
        """All that was noted, for another process."""
        return asdict(self)

    def add(self, handed_in: dict[str, list[str]]) -> None:
        """Note what another process handed in, once where both say the same."""
        for name, notes in handed_in.items():
            mine = getattr(self, name)
            mine.extend(note for note in notes if note not in mine)

    def write(self, terminal: pytest.TerminalReporter) -> None:
        """Write the report's section, where any server was asked for."""
        if not (self.lines or self.warnings):
            return
        terminal.section("servers the tests ran against")
        for line in self.lines:
            terminal.write_line(line)
        for warning in self.warnings:
            terminal.write_line(warning, yellow=True)
        if self.wanting:
            terminal.write_line(f"NO REAL BROKER, {len(self.wanting)} tests DID NOT RUN:", red=True, bold=True)
            for test in self.wanting:
                terminal.write_line(f"  {test}", red=True)


#: Where the run keeps its report.
REPORT = pytest.StashKey[ServiceReport]()
