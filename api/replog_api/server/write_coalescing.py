"""Write coalescing: writes of one step of the event loop are sent together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

#: Most bytes that wait for the end of a step; more would be copied, and hidden from flow control.
MAX_JOINED_BYTES = 65_536


class WriteCoalescingTransport:
    """A transport that sends together what one step of the event loop writes: head and body of an answer are one write.

    Everything but writing and closing is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Send ``data`` at the end of the step; at once where much is waiting."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)
        self._bytes += len(data)
        if self._bytes > MAX_JOINED_BYTES:
            self._send()

    def close(self) -> None:
        """Close once all written data is sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            written, self._written, self._bytes = self._written, [], 0
            self._transport.writelines(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
