"""The check of a dead letter before it is published again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from replog import letters
from replog.errors import UNREADABLE, InvalidEventError
from replog.events import parse

if TYPE_CHECKING:
    from replog.letters import Headers
    from replog_collector.kafka.source import Message
    from replog_collector.pipeline.clock_limit import AheadLimit
    from replog_repair.dead_letters.letter import DeadLetter


class Verdict(StrEnum):
    """The fate of a letter in a replay."""

    #: It is a valid event.
    VALID = "valid"
    #: It breaks the event contract still.
    INVALID = "invalid"
    #: It was cut, and the topic does not have the original any more.
    GONE = "gone"
    #: It was published again so often that another time is not going to help.
    EXHAUSTED = "exhausted"
    #: It is of another topic, or no letter of a collector.
    FOREIGN = "foreign"
    #: The topic takes no message of its size.
    TOO_LARGE = "too_large"


class Original(NamedTuple):
    """A message as it was published first, without headers of this project."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Checked:
    """A letter with its verdict; ``reason`` and ``error`` say why it is not published, ``original`` what is."""

    letter: DeadLetter
    verdict: Verdict
    reason: str = ""
    error: str = ""
    original: Original | None = None

    @property
    def headers(self) -> Headers:
        """Headers of the event that is published: the original's, and the number of replays."""
        if self.original is None:
            return ()
        return (*self.original.headers, (letters.REPLAYS, b"%d" % (self.letter.replays + 1)))


class Check:
    """Checks letters of ``topic`` as a collector would check the events. ``max_replays`` is the most for one event.

    With None, it does not matter how often an event was published again.
    """

    def __init__(self, topic: str, ahead: AheadLimit, *, max_replays: int | None) -> None:
        self._topic = topic
        self._ahead = ahead
        self._max_replays = max_replays

    def before_fetching(self, letter: DeadLetter) -> Checked | None:
        """The verdict, where it needs no original."""
        if letter.origin is None:
            return Checked(letter, Verdict.FOREIGN, error="it does not say which event it is of")
        if letter.origin.topic != self._topic:
            return Checked(letter, Verdict.FOREIGN, error=f"its event is of the topic {letter.origin.topic}")
        if self._max_replays is not None and letter.replays >= self._max_replays:
            return Checked(letter, Verdict.EXHAUSTED, error=f"its event was published again {letter.replays} times")
        return None

    def whole(self, letter: DeadLetter) -> Checked:
        """The verdict on a letter that has its whole event."""
        if letter.reason == UNREADABLE and not letter.value:
            return Checked(letter, Verdict.INVALID, UNREADABLE, letter.error)
        return self._checked(letter, Original(letter.key, letter.value, letter.headers))

    def fetched(self, letter: DeadLetter, message: Message | None) -> Checked:
        """The verdict on a letter that was cut, with what the topic has in the original's place; None for nothing."""
        if message is None and letter.cut.keys() == {"headers"}:
            # What the store makes of an event does not depend on its headers.
            return self.whole(letter)
        if message is None:
            return Checked(letter, Verdict.GONE, error="it was cut, and the topic does not have the original any more")
        if not _is_cut_from(letter, message):
            return Checked(letter, Verdict.GONE, error="it was cut, and the topic has another message in its place")
        headers = tuple((name, of) for name, of in message.headers if not name.startswith(letters.PREFIX))
        return self._checked(letter, Original(message.key, message.value, headers))

    def _checked(self, letter: DeadLetter, original: Original) -> Checked:
        latest_us = self._ahead.latest_us()
        try:
            event = parse(original.value or b"")
            if event.event_us > latest_us:
                raise self._ahead.refusal(event, latest_us)
        except InvalidEventError as error:
            return Checked(letter, Verdict.INVALID, error.reason, str(error), original)
        return Checked(letter, Verdict.VALID, original=original)


def _is_cut_from(letter: DeadLetter, message: Message) -> bool:
    """Whether ``letter`` has the first bytes of key and value of ``message``, and says their sizes."""
    parts = {"key": (letter.key, message.key), "value": (letter.value, message.value)}
    for name, (kept, whole) in parts.items():
        size = letter.cut.get(name)
        if isinstance(size, dict) and size.get("bytes") != len(whole or b""):
            return False
        if not (whole or b"").startswith(kept or b"") or (name not in letter.cut and (kept or b"") != (whole or b"")):
            return False
    return True
