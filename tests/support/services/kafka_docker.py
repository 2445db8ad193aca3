"""A real broker in a container, from the project's official image, the same that deploy/compose.yaml runs."""

from __future__ import annotations

from tests.support.services.docker import OwnContainer, ServerContainer
from tests.support.services.kafka_admin import answers
from tests.support.services.kafka_settings import broker_properties
from tests.support.services.process import free_port

IMAGE_VERSION = "4.1.0"
IMAGE = f"apache/kafka:{IMAGE_VERSION}"
#: Where the broker listens inside its container.
CONTAINER_PORT = 9092
#: How long the broker may take until it answers, its image already here.
START_TIMEOUT_S = 60.0


class DockerBroker(OwnContainer):
    """Apache Kafka in KRaft mode in a container of its own."""

    kind = "docker"
    version = f"Apache Kafka {IMAGE_VERSION}"
    restartable = True

    def __init__(self) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        properties = broker_properties(
            listeners=f"0.0.0.0:{CONTAINER_PORT}", advertised=self.address, controller="127.0.0.1:9093"
        )
        env = {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in properties.items()}
        super().__init__(ServerContainer(IMAGE, CONTAINER_PORT, port, env=env))

    def start(self) -> None:
        """Start it, and return once it takes requests."""
        self._container.start(lambda: answers(self.address), START_TIMEOUT_S)
