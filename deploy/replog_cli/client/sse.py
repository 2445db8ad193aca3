"""Server-Sent Events, parsed as they arrive. Pure: lines in, messages out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class Message:
    """One block of a stream: an event, or without ``event`` a comment or a ``retry``."""

    event: str = ""
    id: str = ""
    data: str = ""
    retry_ms: int | None = None


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Split a body into lines at line feeds alone: the text of an event may contain Unicode's other line breaks."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode().removesuffix("\r") for line in whole)


def messages(stream_lines: Iterable[str]) -> Iterator[Message]:
    """Parse the lines of a stream. Each block gives one message, heart-beats included; an unfinished one gives none."""
    block: list[tuple[str, str]] = []
    for line in stream_lines:
        if line:
            name, _, value = line.partition(":")
            block.append((name, value.removeprefix(" ")))
        else:
            yield _message(block)
            block = []


def _message(block: list[tuple[str, str]]) -> Message:
    fields = dict(block)
    retry = fields.get("retry", "")
    return Message(
        event=fields.get("event", ""),
        id=fields.get("id", ""),
        data="\n".join(value for name, value in block if name == "data"),
        retry_ms=int(retry) if retry.isascii() and retry.isdigit() else None,
    )
