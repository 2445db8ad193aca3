"""A server in a container, by testcontainers, on a port of this host that stays the same when it is started again."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from tests.support.services import PROBE_TIMEOUT_S, ServiceUnavailableError
from tests.support.services.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: An old enough version of the interface, named so that making a client asks nobody.
_API_VERSION = "1.41"

# Each container is removed by who made it; a second one that watches over that is one image more to fetch.
testcontainers_config.ryuk_disabled = True


class ServerContainer:
    """A container of ``image`` whose ``container_port`` is ``port`` of this host."""

    def __init__(
        self,
        image: str,
        container_port: int,
        port: int,
        *,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self._image = image
        self._ports = (container_port, port)
        self._env = dict(env or {})
        self._command = list(command)
        self._container: DockerContainer | None = None

    def start(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Make the container, or start the one that was ended again, and return once ``ready``.

        Raises:
            ServiceUnavailableError: Docker does not answer, or the server was not ready in time and is gone.
        """
        try:
            if self._container:
                self._wrapped.start()
            else:
                require_docker()
                self._container = self._made().start()
            in_time = wait_until(ready, timeout_s)
        except BaseException as error:
            self.remove()
            if isinstance(error, DockerException | RequestException):
                raise ServiceUnavailableError(f"{self._image}: {error}") from error
            raise
        if not in_time:
            self.remove()
            raise ServiceUnavailableError(f"{self._image} did not get ready in {timeout_s:.0f} s")

    def stop(self) -> None:
        """End the server in order; it can be started again."""
        self._wrapped.stop()

    def kill(self) -> None:
        """End the server as a crash would; it can be started again."""
        self._wrapped.kill()

    def remove(self) -> None:
        """End the server for good, with its data."""
        if self._container:
            self._container.stop(force=True, delete_volume=True)
            self._container.get_docker_client().client.close()
            self._container = None

    def _made(self) -> DockerContainer:
        container = DockerContainer(self._image).with_bind_ports(*self._ports).with_envs(**self._env)
        return container.with_command(self._command) if self._command else container

    @property
    def _wrapped(self) -> Any:
        assert self._container, "the container was never started"
        return self._container.get_wrapped_container()


class OwnContainer:
    """A server in a container of the tests' own, which a subclass starts."""

    def __init__(self, container: ServerContainer) -> None:
        self._container = container

    def stop(self) -> None:
        """End it in order."""
        self._container.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._container.kill()

    def close(self) -> None:
        """End it for good, with its data."""
        self._container.remove()


def require_docker() -> None:
    """Return where Docker answers.

    Raises:
        ServiceUnavailableError: it does not, and why.
    """
    client = None
    try:
        _knock()
        client = docker.DockerClient.from_env(version=_API_VERSION, timeout=int(PROBE_TIMEOUT_S))
        client.ping()
    except (DockerException, RequestException, OSError) as error:
        raise ServiceUnavailableError(f"Docker does not answer: {error}") from error
    finally:
        if client is not None:
            client.close()


def _knock() -> None:
    # The client leaves its socket open where nobody is behind it, and that fails a run where warnings are errors.
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if path.startswith("/"):
        with socket.socket(socket.AF_UNIX) as knock:
            knock.connect(path)
