"""Dead letters fit whatever the dead-letter topic takes."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog.letters import (
    CUT,
    DEAD_AT,
    ERROR,
    ERROR_BYTES,
    KEPT_BYTES,
    OFFSET,
    PARTITION,
    REASON,
    TOPIC,
    VALUE_BYTES,
    VERSION,
    Letter,
)
from replog_collector.kafka.dead_letters import DeadLetter
from replog_collector.kafka.produce.dead_letter_topic import TOGETHER_BYTES, DeadLetterTopic
from tests.support.fakes import FakeMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Largest messages that topics may be set to; the event topic's own, the broker's default, and hardly any.
SIZES = [1_114_112, 1_048_588, 100_000, 10_000, 1_000]
#: What a request may have at most, whatever the topic takes.
REQUEST_BYTES = 8 * 1024 * 1024
MANY = tuple((f"h{number}", b"") for number in range(200_000))
MESSAGES = {
    "a value": FakeMessage(b"v" * 3_000_000, key=b"k"),
    "a key": FakeMessage(b"x", key=b"k" * 3_000_000),
    "a header": FakeMessage(b"x", key=b"k", headers=[("a", b"1"), ("h", b"\0" * 3_000_000), ("b", b"2")]),
    "a header's name": FakeMessage(b"x", headers=[("é" * 1_500_000, b""), ("a", b"1")]),
    "many headers": FakeMessage(b"x", key=b"k", headers=MANY),
    "everything": FakeMessage(b"v" * 900_000, key=b"k" * 900_000, headers=[("h", b"\xff" * 900_000)]),
    "more than a request": FakeMessage(b"v" * (REQUEST_BYTES + 1), key=b"k"),
    "no key": FakeMessage(b"v" * 3_000_000),
    "no value": FakeMessage(None, key=b"k" * 3_000_000),
    "a header without a value": FakeMessage(b"v" * 3_000_000, headers=[("none", None)]),
}


class NarrowProducer:
    """A topic that takes no Kafka batch larger than ``max_bytes``, and acknowledges what is sent together together."""

    topic = "events.dlq"

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.letters: list[Letter] = []
        self.tries = 0
        self.away = False
        self._batch: list[tuple[Letter, asyncio.Future[Any]]] = []

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to disconnect from."""

    async def abort(self) -> None:
        """Nothing to disconnect from."""

    async def send(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> asyncio.Future[Any]:
        """Refuse what no request may have; else answer once the batch is full of what came at the same time."""
        assert not (key is None and value is None)
        self.tries += 1
        letter = Letter(key, value, tuple(headers))
        if letter.size > REQUEST_BYTES:
            raise MessageTooLargeError("larger than a request")
        answer = asyncio.get_running_loop().create_future()
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        self._batch.append((letter, answer))
        return answer

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        """What became of it."""
        await acknowledgement

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        too_large = sum(letter.size for letter, _ in batch) > self.max_bytes
        for letter, answer in batch:
            if self.away:
                answer.set_exception(BrokerUnavailable("away"))
            elif too_large:
                answer.set_exception(MessageTooLargeError("refused"))
            else:
                self.letters.append(letter)
                answer.set_result(None)


async def sent(producer: NarrowProducer, *messages: FakeMessage, error: str = "wrong") -> list[Letter]:
    """What the topic holds once ``messages`` were dead-lettered."""
    letters = [DeadLetter(message, "invalid", error) for message in messages]
    await DeadLetterTopic(producer, source_topic="events").send(letters)
    return producer.letters


def own(letter: Letter) -> dict[str, bytes | None]:
    """The headers that the collector added."""
    return {name: content for name, content in letter.headers if name.startswith("replog.")}


def size_of(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """The bytes of names and values, and two more for each."""
    return sum(len(name.encode()) + len(content or b"") + 2 for name, content in headers)


def cut_of(letter: Letter) -> Any:
    """What the letter says was cut."""
    return json.loads(own(letter)[CUT] or b"")


@pytest.mark.parametrize("max_bytes", SIZES)
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
async def test_any_message_fits_any_topic(message: FakeMessage, max_bytes: int) -> None:
    """It says where it came from and why, and of each part that was cut how much."""
    (letter,) = await sent(NarrowProducer(max_bytes), message)
    headers = own(letter)
    assert [headers[name] for name in (ERROR, TOPIC, PARTITION, OFFSET)] == [b"wrong", b"events", b"0", b"0"]
    cut = cut_of(letter)
    for name, whole, kept in (("value", message.value, letter.value), ("key", message.key, letter.key)):
        assert (kept is None) == (whole is None)
        assert (whole or b"").startswith(kept or b"")
        if kept != whole:
            assert cut[name] == {"bytes": len(whole or b""), "kept": len(kept or b"")}
        assert (name in cut) == (kept != whole)
    assert headers.get(VALUE_BYTES) == (b"%d" % cut["value"]["bytes"] if "value" in cut else None)
    theirs = [header for header in letter.headers if not header[0].startswith("replog.")]
    assert ("headers" in cut) == (len(theirs) < len(message.headers))
    if "headers" in cut:
        sizes = [
            sum(len(name.encode()) + len(of or b"") + 2 for name, of in some) for some in (message.headers, theirs)
        ]
        assert [cut["headers"]["bytes"], cut["headers"]["kept"]] == sizes


@pytest.mark.parametrize("max_bytes", SIZES)
@pytest.mark.parametrize("name", ["a value", "a key", "no key", "no value"])
async def test_no_more_is_cut_than_has_to_be(name: str, max_bytes: int) -> None:
    """Of the one part that is too large; half a mebibyte of it, or twice as much would not have fitted."""
    (letter,) = await sent(NarrowProducer(max_bytes), MESSAGES[name])
    (part,) = cut_of(letter).values()
    assert part["kept"] == KEPT_BYTES or letter.size + part["kept"] > max_bytes


async def test_small_headers_survive_beside_a_large_one() -> None:
    (letter,) = await sent(NarrowProducer(1_000_000), MESSAGES["a header"])
    assert letter.headers[:2] == (("a", b"1"), ("b", b"2"))
    assert cut_of(letter) == {"headers": {"bytes": 3_000_000 + 3 + 2 * 4, "kept": 8}}
    assert (letter.key, letter.value) == (b"k", b"x")


async def test_what_fits_is_left_as_it_was() -> None:
    headers = (("replog.error", b"from before"), ("h", b"\xff"))
    (letter,) = await sent(NarrowProducer(2_000_000), FakeMessage(b"v" * 1_000_000, key=b"k", headers=headers))
    assert (letter.key, letter.value, letter.headers[:2]) == (b"k", b"v" * 1_000_000, headers)
    assert [name for name, _ in letter.headers[2:]] == [REASON, ERROR, TOPIC, PARTITION, OFFSET, DEAD_AT, VERSION]


async def test_a_letter_says_why_when_and_by_which_version() -> None:
    producer = NarrowProducer(2_000_000)
    topic = DeadLetterTopic(producer, source_topic="events", clock=lambda: 1_620_821_961_123_456_789)
    await topic.send([DeadLetter(FakeMessage(b"x"), "not_json", "value is not JSON")])
    headers = own(producer.letters[0])
    assert (headers[REASON], headers[DEAD_AT]) == (b"not_json", b"2021-05-12T12:19:21.123456Z")
    assert headers[VERSION] == version("replog").encode()


async def test_the_first_half_mebibyte_of_a_large_value_is_kept() -> None:
    (letter,) = await sent(NarrowProducer(1_048_588), MESSAGES["a value"])
    assert letter.value == b"v" * KEPT_BYTES
    assert own(letter)[VALUE_BYTES] == b"3000000"
    assert cut_of(letter) == {"value": {"bytes": 3_000_000, "kept": KEPT_BYTES}}


async def test_only_those_that_are_too_large_are_cut() -> None:
    """Others that lay in the same Kafka batch are not."""
    small = [FakeMessage(b"%d" % number, offset=number) for number in range(50)]
    letters = await sent(NarrowProducer(1_000), *small, FakeMessage(b"v" * 5_000, offset=50))
    assert {letter.value for letter in letters if CUT not in own(letter)} == {message.value for message in small}
    assert [own(letter)[OFFSET] for letter in letters if CUT in own(letter)] == [b"50"]


async def test_a_size_that_was_refused_is_not_tried_again_for_the_next_letters() -> None:
    """Some thousands that are too large have to get through in the time that there is."""
    producer = NarrowProducer(10_000)
    letters = await sent(producer, *[FakeMessage(b"v" * 100_000, offset=number) for number in range(1000)])
    assert len(letters) == 1000
    assert producer.tries < 2 * 1000 + 30


async def test_large_letters_do_not_come_in_one_request() -> None:
    """The broker would cut off the connection beyond its limit, again and again."""
    producer = NarrowProducer(2 * TOGETHER_BYTES)
    messages = [FakeMessage(b"v" * (TOGETHER_BYTES + 1), partition=number) for number in range(20)]
    assert [letter.value for letter in await sent(producer, *messages)] == [message.value for message in messages]
    assert producer.tries == 20


@pytest.mark.parametrize("error", ["é" * 100_000, "\ud800" * 100_000, "x" * 100_000, ""])
@pytest.mark.parametrize("max_bytes", [10_000_000, 1_000])
async def test_the_text_of_the_error_is_bounded(error: str, max_bytes: int) -> None:
    (letter,) = await sent(NarrowProducer(max_bytes), FakeMessage(b"v" * 5_000), error=error)
    told = (own(letter)[ERROR] or b"").decode()
    assert len(told.encode()) <= ERROR_BYTES
    assert error.encode("utf-8", "replace").decode().startswith(told)


async def test_a_header_s_name_that_is_no_utf_8_is_replaced() -> None:
    (letter,) = await sent(NarrowProducer(10_000), FakeMessage(b"x", headers=[("\udcff", b"1")]))
    assert letter.headers[0] == ("?", b"1")


async def test_a_message_with_neither_key_nor_value_is_sent_with_an_empty_value() -> None:
    (letter,) = await sent(NarrowProducer(10_000), FakeMessage(None))
    assert (letter.key, letter.value) == (None, b"")


async def test_nothing_is_dropped_where_the_topic_takes_not_even_the_least_letter() -> None:
    producer = NarrowProducer(10)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match=r"events\.dlq takes not even a letter of \d+ bytes"):
            await sent(producer, FakeMessage(b"{"))
    producer.max_bytes = 10_000
    (letter,) = await sent(producer, FakeMessage(b"{"))
    assert letter.value == b"{"


async def test_a_broker_that_is_away_is_told_from_one_that_refuses() -> None:
    producer = NarrowProducer(10_000)
    producer.away = True
    with pytest.raises(BrokerUnavailable, match="away"):
        await sent(producer, FakeMessage(b"{"))


async def test_a_topic_that_takes_nothing_is_given_up_after_a_while() -> None:
    producer = NarrowProducer(10_000)
    producer._flush = lambda: None  # type: ignore[method-assign]
    topic = DeadLetterTopic(producer, source_topic="events", timeout_s=0.01)
    for value in (b"{", b"v" * (TOGETHER_BYTES + 1)):
        with pytest.raises(BrokerUnavailable, match=r"took nothing in 0\.01 s"):
            await topic.send([DeadLetter(FakeMessage(value), "invalid", "wrong")])
