"""A load generator: keep-alive connections that ask again as soon as they are answered."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


#: Seconds of requests behind one figure.
SECONDS = 5.0


class Load(NamedTuple):
    """Requests answered, and how long each took in milliseconds."""

    per_second: float
    median_ms: float
    p99_ms: float


class _Client(asyncio.Protocol):
    """One connection; counts answers that are 200 and complete."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._buffer = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        self._latencies.append(time.perf_counter() - self._asked_at)
        self._buffer = b""
        self._ask()

    def _ask(self) -> None:
        assert self._transport
        self._asked_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def stop(self) -> None:
        """Ask no more."""
        if self._transport:
            self._transport.abort()


def _content_length(head: bytes) -> int:
    lower = head.lower()
    begin = lower.index(b"content-length:") + len(b"content-length:")
    return int(lower[begin:].split(b"\r\n", 1)[0])


async def _run(port: int, paths: Sequence[str], connections: int, seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    requests = cycle([f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths])
    latencies: list[float] = []
    clients = [
        (await loop.create_connection(lambda: _Client(requests, latencies), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for client in clients:
        client.stop()
    return latencies


def measure_all(ports: Sequence[int], paths: Sequence[str], *, connections: int = 16, seconds: float = SECONDS) -> int:
    """As :func:`measure`, of several services at once, without a warm-up; returns the number of answers."""

    async def run() -> int:
        latencies = await asyncio.gather(*(_run(port, paths, connections, seconds) for port in ports))
        return sum(map(len, latencies))

    return uvloop.run(run())


def measure(port: int, paths: Sequence[str], *, connections: int = 16, seconds: float = SECONDS) -> Load:
    """Ask ``paths``, one after the other and over and over, for ``seconds``, after a warm-up of a tenth of that."""
    uvloop.run(_run(port, paths, connections, seconds / 10))
    latencies = sorted(uvloop.run(_run(port, paths, connections, seconds)))
    return Load(
        per_second=len(latencies) / seconds,
        median_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
    )
