"""The broker that tests run against, by `REPLOG_TEST_KAFKA`: an address, `docker`, `maven` or `embedded`.

Unset: Docker where it answers, else Maven where it, Java and its repository are there, else the embedded
broker; the run's report then says why, and which tests did not run for it.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from tests.support.services import PROBE_TIMEOUT_S, ServiceUnavailableError
from tests.support.services.kafka_admin import answers
from tests.support.services.kafka_docker import DockerBroker
from tests.support.services.kafka_maven import MavenBroker
from tests.support.services.process import OwnProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

#: The variable that chooses the broker.
VARIABLE = "REPLOG_TEST_KAFKA"


class Reachable(Protocol):
    """One broker or several."""

    #: How it is run: address, docker, maven or embedded.
    kind: str

    @property
    def address(self) -> str:
        """``host:port``, once started; of several, with commas between them."""


class Broker(Reachable, Protocol):
    """A broker of one node; if ``restartable``, ``start`` brings back its address and data."""

    #: What it is, for people.
    version: str
    #: Whether it can be ended and started again with its data.
    restartable: bool

    def start(self) -> None:
        """Start it, and return once it takes requests.

        Raises:
            ServiceUnavailableError: it cannot be started here; nothing of it runs.
        """

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End it as a crash would."""

    def close(self) -> None:
        """End it for good."""


class ExternalBroker:
    """A broker that somebody else runs: only used, never ended."""

    kind = "address"
    version = "version unknown"
    restartable = False

    def __init__(self, address: str, probe_timeout_s: float) -> None:
        self.address = address
        self._probe_timeout_s = probe_timeout_s

    def start(self) -> None:
        """Wait until it answers."""
        if not wait_until(lambda: answers(self.address), self._probe_timeout_s):
            raise ServiceUnavailableError(f"no broker answers at {VARIABLE}={self.address}")

    def stop(self) -> None:
        """Leave it as it is."""

    def kill(self) -> None:
        """Refuse.

        Raises:
            ServiceUnavailableError: always.
        """
        raise ServiceUnavailableError(f"the broker at {self.address} is not the tests' own")

    def close(self) -> None:
        """Leave it as it is."""


class EmbeddedBroker(OwnProcess):
    """The broker of ``replog up``: nothing to install, one consumer group member, nothing kept on disk."""

    kind = "embedded"
    version = f"librdkafka mock cluster of confluent-kafka {version('confluent-kafka')}"
    restartable = False

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir / "broker.log")

    @property
    def address(self) -> str:
        """``host:port``, once started."""
        return self._printed_address()

    def start(self) -> None:
        """Start it, and return once it printed its address."""
        command = [sys.executable, "-m", "replog_local.embedded_broker"]
        self._process.start(command, lambda: bool(self._printed_address()), PROBE_TIMEOUT_S)

    def _printed_address(self) -> str:
        found = re.search(r"^\S+:\d+$", self._process.output(), re.MULTILINE)
        return found[0] if found else ""


def start_broker(
    choice: str | None, data_dir: Path, *, probe_timeout_s: float = PROBE_TIMEOUT_S
) -> tuple[Broker, list[str]]:
    """Start the broker that ``choice`` names, or the best there is; with why better ones were passed over.

    Raises:
        ServiceUnavailableError: the one that was named cannot be started.
    """
    if choice:
        broker = _named(choice, data_dir, probe_timeout_s)
        broker.start()
        return broker, []
    passed_over = []
    for better in (DockerBroker(), MavenBroker(data_dir)):
        try:
            better.start()
        except ServiceUnavailableError as why:
            passed_over.append(f"{better.kind}: {why}")
        else:
            return better, passed_over
    broker = EmbeddedBroker(data_dir)
    broker.start()
    return broker, passed_over


def _named(choice: str, data_dir: Path, probe_timeout_s: float) -> Broker:
    match choice:
        case "docker":
            return DockerBroker()
        case "maven":
            return MavenBroker(data_dir, patient=True)
        case "embedded":
            return EmbeddedBroker(data_dir)
        case _ if ":" in choice:
            return ExternalBroker(choice, probe_timeout_s)
    raise ServiceUnavailableError(f"{VARIABLE}={choice} is wrong; allowed: host:port, docker, maven, embedded")
