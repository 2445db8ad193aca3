"""A server in a container, on a port of this host that stays the same when it is started again.

The `docker` command does it: the Python client leaves sockets unclosed, which fails a run where warnings are
errors.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.services import PROBE_TIMEOUT_S, ServiceUnavailableError
from tests.services.process import run, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: How long an image may take to arrive, once Docker is known to answer.
PULL_TIMEOUT_S = 120.0


class ServerContainer:
    """A container of ``image`` whose ``container_port`` is ``port`` of this host's loopback."""

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
        self._publish = f"127.0.0.1:{port}:{container_port}"
        self._env = env or {}
        self._command = command
        self._id = ""

    def start(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Make the container, or start the one that was ended again, and return once ``ready``.

        Raises:
            ServiceUnavailableError: Docker does not answer, or the server was not ready in time and is gone.
        """
        if self._id:
            _docker("start", self._id)
        else:
            self._make()
        try:
            in_time = wait_until(ready, timeout_s)
        except BaseException:
            self.remove()
            raise
        if not in_time:
            self.remove()
            raise ServiceUnavailableError(f"{self._image} did not get ready in {timeout_s:.0f} s")

    def _make(self) -> None:
        _require_docker()
        _docker("pull", "--quiet", self._image, timeout_s=PULL_TIMEOUT_S)
        env = [word for name, value in self._env.items() for word in ("--env", f"{name}={value}")]
        self._id = _docker("create", "--publish", self._publish, *env, self._image, *self._command)
        _docker("start", self._id)

    def stop(self) -> None:
        """End the server in order; it can be started again."""
        _docker("stop", self._id)

    def kill(self) -> None:
        """End the server as a crash would; it can be started again."""
        _docker("kill", self._id)

    def remove(self) -> None:
        """End the server for good, with its data."""
        _docker("rm", "--force", "--volumes", self._id)
        self._id = ""


def _require_docker() -> None:
    if shutil.which("docker") is None:
        raise ServiceUnavailableError("no docker on PATH")
    _docker("version", "--format", "{{.Server.Version}}")


def _docker(*words: str, timeout_s: float = PROBE_TIMEOUT_S) -> str:
    return run(["docker", *words], timeout_s).strip()
