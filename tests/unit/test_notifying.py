"""A notifier posts each outcome until the receiver has it or refuses it, and commits no more than that."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cloudevents.core.bindings.kafka import to_binary_event
from cloudevents.core.v1.event import CloudEvent
from structlog.testing import capture_logs

from replog.cancellation import cancel_and_wait
from replog.errors import BrokerUnavailable, SettingsError
from replog.settings import NotifySettings, load, secret
from replog_collector.kafka.source import Unreadable
from replog_repair.notifying.notifier import Notifier, OutcomeRefused, Timings
from replog_repair.notifying.selection import Selection
from replog_repair.notifying.signature import key_of, signature
from replog_repair.notifying.webhook import (
    MOST_RETRY_AFTER_S,
    Attempt,
    Verdict,
    Webhook,
    checked_url,
    is_exposed,
    shown_url,
)
from tests.support.fakes import FakeMessage, MemoryGroup, MemoryGroupReader
from tests.support.webhook_receiver import WebhookReceiver, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: No test waits for a back-off.
TIMINGS = Timings(poll_s=0.01, commit_s=0.0, first_backoff_s=0.0)
NOW_S = 1_000_000_000
DELIVERED, REFUSED, LATER = (Attempt(verdict, verdict.name) for verdict in Verdict)
ALL = Selection()


def event(subject: str = "r", kind: str = "failed", task: str = "t") -> CloudEvent:
    attributes = {
        "id": f"id-of-{subject}",
        "source": "/s",
        "type": f"replog.record.{kind}",
        "subject": subject,
        "partitionkey": task,
    }
    return CloudEvent({**attributes, "datacontenttype": "application/json"}, b'{"id":"r"}')


def message(offset: int, outcome: CloudEvent | None = None) -> FakeMessage:
    written = to_binary_event(outcome or event(f"r{offset}"))
    assert isinstance(written.key, str)
    return FakeMessage(written.value, offset=offset, key=written.key.encode(), headers=[*written.headers.items()])


def reader_of(*messages: Any) -> MemoryGroupReader:
    return MemoryGroupReader(MemoryGroup([*messages]))


@dataclass
class MemoryReceiver:
    """A receiver that gives ``attempts`` as they are, then takes everything."""

    attempts: list[Attempt] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, event: Any) -> Attempt:
        await asyncio.sleep(0)
        self.posted.append(event.get_subject())
        self.came.set()
        return self.attempts.pop(0) if self.attempts else DELIVERED


async def run(
    reader: MemoryGroupReader, receiver: MemoryReceiver, selection: Selection = ALL, *, strict: bool = False
) -> None:
    """Run a notifier until there is nothing left to read."""
    notifier = Notifier(reader, receiver, selection, strict=strict, timings=TIMINGS)
    task = asyncio.create_task(notifier.run())
    emptied = asyncio.create_task(reader.empty.wait())
    async with asyncio.timeout(10):
        await asyncio.wait([task, emptied], return_when=asyncio.FIRST_COMPLETED)
        notifier.stop()
        await cancel_and_wait([emptied], timeout_s=1)
        await task


async def test_each_outcome_is_posted_and_committed() -> None:
    reader, receiver = reader_of(message(0), message(1), message(2)), MemoryReceiver()
    await run(reader, receiver)
    assert (receiver.posted, reader.group.committed) == (["r0", "r1", "r2"], 3)


async def test_what_fails_is_posted_again_before_the_next() -> None:
    reader, receiver = reader_of(message(0), message(1)), MemoryReceiver([LATER, LATER])
    with capture_logs() as lines:
        await run(reader, receiver)
    assert (receiver.posted, reader.group.committed) == (["r0", "r0", "r0", "r1"], 2)
    assert [line["event"] for line in lines] == ["backing_off", "backing_off", "recovered"]


async def test_what_is_refused_is_logged_and_passed_over() -> None:
    reader, receiver = reader_of(message(0), message(1)), MemoryReceiver([REFUSED])
    with capture_logs() as lines:
        await run(reader, receiver)
    assert (receiver.posted, reader.group.committed) == (["r0", "r1"], 2)
    assert [(line["event"], line["record"]) for line in lines] == [("outcome_refused", "r0")]


async def test_a_strict_notifier_stops_before_what_is_refused() -> None:
    reader, receiver = reader_of(message(0), message(1)), MemoryReceiver([DELIVERED, REFUSED])
    with pytest.raises(OutcomeRefused, match="outcome id-of-r1 of record r1: REFUSED"):
        await run(reader, receiver, strict=True)
    assert reader.group.committed == 1


@pytest.mark.parametrize(
    "garbage",
    [
        FakeMessage(None, offset=1),
        FakeMessage(b"x", offset=1),
        FakeMessage(b"[]", offset=1),
        FakeMessage(b"{}", offset=1, headers=[("ce_id", b"\xff")]),
        FakeMessage(b"{}", offset=1, headers=[("ce_id", None), ("ce_specversion", b"1.0")]),
        FakeMessage(b"{}", offset=1, headers=[("ce_specversion", b"9")]),
        FakeMessage(b"{}", offset=1, headers=[("ce_specversion", b"1.0"), ("ce_time", b"x")]),
        FakeMessage(
            b"{}",
            offset=1,
            headers=[("ce_id", "ü".encode()), ("ce_source", b"/s"), ("ce_type", b"replog.record.failed")],
        ),
        Unreadable(0, 1, "a batch that does not decompress"),
    ],
)
async def test_what_is_no_outcome_stops_nothing(garbage: Any) -> None:
    reader, receiver = reader_of(message(0), garbage, message(2)), MemoryReceiver()
    with capture_logs() as lines:
        await run(reader, receiver)
    assert (receiver.posted, reader.group.committed) == (["r0", "r2"], 3)
    assert [(line["event"], line["offset"]) for line in lines] == [("outcome_unreadable", 1)]


@pytest.mark.parametrize(
    ("selection", "admitted"),
    [
        (Selection(), ["a", "b", "c"]),
        (Selection(statuses={"FAILED"}), ["a"]),
        (Selection(statuses={"FAILED", "RUNNING"}), ["a", "c"]),
        (Selection(task_prefix="team-a/"), ["a", "b"]),
        (Selection(statuses={"SUCCESS"}, task_prefix="team-a/"), ["b"]),
    ],
)
async def test_only_what_is_selected_is_posted_and_all_is_committed(selection: Selection, admitted: list[str]) -> None:
    sent = [
        event("a", task="team-a/x"),
        event("b", "succeeded", task="team-a/"),
        event("c", "reopened", task="team-b/x"),
        event("d", "unknown", task="team-a/x"),
    ]
    reader, receiver = reader_of(*(message(number, one) for number, one in enumerate(sent))), MemoryReceiver()
    await run(reader, receiver, selection)
    assert (receiver.posted, reader.group.committed) == (admitted, 4)


async def test_the_broker_may_be_away() -> None:
    reader, receiver = reader_of(message(0)), MemoryReceiver()
    reader.failures = [BrokerUnavailable("away")] * 2
    reader.commit_failures = [BrokerUnavailable("away")] * 2
    with capture_logs() as lines:
        await run(reader, receiver)
    assert (receiver.posted, reader.group.committed) == (["r0"], 1)
    assert [line["event"] for line in lines][:3] == ["backing_off", "backing_off", "recovered"]


@pytest.mark.parametrize("settled", [DELIVERED, LATER])
async def test_messages_of_an_earlier_assignment_are_left_to_who_has_their_partition(settled: Attempt) -> None:
    """The partitions move while the first is posted, and another member has posted it since."""
    reader = reader_of(message(0), message(1))

    class Moving(MemoryReceiver):
        async def post(self, event: Any) -> Attempt:
            if not self.posted:
                reader.group.committed = 1
                reader.move()
            return await super().post(event)

    receiver = Moving([settled])
    await run(reader, receiver)
    assert (receiver.posted, reader.group.committed) == (["r0", "r1"], 2)


@pytest.mark.parametrize("ends", ["stop", "assignment"])
async def test_a_long_wait_ends_with(ends: str) -> None:
    """A receiver may ask for an hour."""
    reader, receiver = reader_of(message(0)), MemoryReceiver([Attempt(Verdict.LATER, "busy", 3600.0)])
    notifier = Notifier(reader, receiver, Selection(), timings=TIMINGS)
    task = asyncio.create_task(notifier.run())
    async with asyncio.timeout(10):
        await receiver.came.wait()
        if ends == "assignment":
            reader.move()
            await reader.empty.wait()
        notifier.stop()
        await task
    posted = ["r0", "r0"] if ends == "assignment" else ["r0"]
    assert (receiver.posted, reader.group.committed) == (posted, len(posted) - 1)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with receiving() as running:
        yield running


def webhook(url: str, *, timeout_s: float = 5.0, key: bytes | None = b"secret") -> Webhook:
    return Webhook(url, key=lambda: key, timeout_s=timeout_s, clock=lambda: NOW_S)


async def test_a_post_is_a_signed_cloud_event(receiver: WebhookReceiver) -> None:
    async with webhook(f"{receiver.url}?token=x") as hook:
        assert await hook.post(event()) == Attempt(Verdict.DELIVERED, "HTTP 204")
    (one,) = receiver.received
    headers = {name.lower(): text for name, text in one.headers.items()}
    assert one.path == "/hook?token=x"
    assert headers["content-type"] == "application/cloudevents+json"
    assert (one.event["subject"], one.event["type"]) == ("r", "replog.record.failed")
    signed = f"id-of-r.{NOW_S}.".encode() + one.body
    expected = base64.b64encode(hmac.new(b"secret", signed, hashlib.sha256).digest()).decode()
    assert {name: headers[name] for name in headers if name.startswith("webhook-")} == {
        "webhook-id": "id-of-r",
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": f"v1,{expected}",
    }


async def test_without_a_secret_there_is_no_signature(receiver: WebhookReceiver) -> None:
    async with webhook(receiver.url, key=None) as hook:
        await hook.post(event())
    assert "webhook-signature" not in {name.lower() for name in receiver.received[0].headers}


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Attempt(Verdict.DELIVERED, "HTTP 200")),
        (301, {"Location": "http://127.0.0.1:1/"}, Attempt(Verdict.REFUSED, "HTTP 301")),
        (308, {"Location": "/other"}, Attempt(Verdict.REFUSED, "HTTP 308")),
        (400, {}, Attempt(Verdict.REFUSED, "HTTP 400")),
        (404, {"Retry-After": "5"}, Attempt(Verdict.REFUSED, "HTTP 404")),
        (410, {}, Attempt(Verdict.REFUSED, "HTTP 410")),
        (408, {}, Attempt(Verdict.LATER, "HTTP 408")),
        (425, {}, Attempt(Verdict.LATER, "HTTP 425")),
        (429, {}, Attempt(Verdict.LATER, "HTTP 429")),
        (429, {"Retry-After": "7"}, Attempt(Verdict.LATER, "HTTP 429", 7.0)),
        (429, {"Retry-After": "99999999"}, Attempt(Verdict.LATER, "HTTP 429", MOST_RETRY_AFTER_S)),
        (429, {"Retry-After": "soon"}, Attempt(Verdict.LATER, "HTTP 429")),
        (429, {"Retry-After": "-1"}, Attempt(Verdict.LATER, "HTTP 429")),
        (503, {"Retry-After": "Sun, 09 Sep 2001 01:47:10 GMT"}, Attempt(Verdict.LATER, "HTTP 503", 30.0)),
        (503, {"Retry-After": "Sun, 09 Sep 2001 01:46:39 GMT"}, Attempt(Verdict.LATER, "HTTP 503", 0.0)),
        (500, {"Retry-After": "5"}, Attempt(Verdict.LATER, "HTTP 500")),
    ],
)
async def test_what_an_answer_means(
    receiver: WebhookReceiver, status: int, headers: dict[str, str], expected: Attempt
) -> None:
    """Redirects are not followed: to another host the event would be told to somebody else."""
    receiver.answers = [(status, headers)]
    async with webhook(receiver.url) as hook:
        assert await hook.post(event()) == expected
    assert len(receiver.received) == 1


async def test_a_receiver_that_hangs_is_given_up(receiver: WebhookReceiver) -> None:
    receiver.answering.clear()
    async with webhook(receiver.url, timeout_s=0.2) as hook:
        assert await hook.post(event()) == Attempt(Verdict.LATER, "no answer in 0.2 s")


async def test_a_receiver_that_sends_its_answer_drop_by_drop_is_given_up() -> None:
    """Each byte comes in time."""

    class Drops(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            while True:
                await asyncio.sleep(0.01)
                yield b"x"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Drops()))
    async with Webhook("http://h/", key=lambda: None, timeout_s=0.2, transport=transport) as hook:
        assert await hook.post(event()) == Attempt(Verdict.LATER, "no answer in 0.2 s")


async def test_an_endless_answer_is_not_read(receiver: WebhookReceiver) -> None:
    """And the next one comes all the same."""
    receiver.answers, receiver.body = [(200, {}), (200, {})], b"x" * 10_000_000
    async with webhook(receiver.url) as hook:
        assert [(await hook.post(event())).verdict for _ in range(2)] == [Verdict.DELIVERED] * 2


async def test_a_receiver_that_is_dead_may_come_back() -> None:
    with receiving() as dead:
        port = dead.port
    async with webhook(dead.url) as hook:
        assert (await hook.post(event())).verdict is Verdict.LATER
        with receiving(port):
            assert (await hook.post(event())).verdict is Verdict.DELIVERED


def test_the_signature_is_that_of_the_specification() -> None:
    """Its example, of https://www.standardwebhooks.com."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signature(key, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s=1614265330, body=body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", ["whsec_", "whsec_ü", "whsec_x", ""])
def test_a_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|at least one character"):
        key_of(text)


def test_a_secret_in_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("one\n")
    key = secret(load(NotifySettings, notify_secret_file=file), "notify_secret", key_of)
    assert key is not None
    assert key.value == b"one"
    (tmp_path / "new").write_text("another")
    (tmp_path / "new").rename(file)
    assert key.value == b"another"
    file.unlink()
    with capture_logs() as lines:
        assert key.value == b"another"
    assert [line["event"] for line in lines] == ["secret_unreadable"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"notify_secret": "whsec_?"}, r"REPLOG_NOTIFY_SECRET=\*\*\* is wrong"),
        ({"notify_secret_file": "/nowhere"}, "REPLOG_NOTIFY_SECRET_FILE=/nowhere cannot be read"),
    ],
)
def test_a_wrong_secret_is_a_wrong_setting(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        secret(load(NotifySettings, **settings), "notify_secret", key_of)


@pytest.mark.parametrize(
    ("url", "exposed", "shown"),
    [
        ("https://u:p@hooks.example/a?token=b", False, "https://hooks.example/a"),
        ("http://hooks.example:8080/a", True, "http://hooks.example:8080/a"),
        ("http://localhost/a", False, "http://localhost/a"),
        ("http://[::1]:8080/", False, "http://[::1]:8080/"),
        ("http://127.1.2.3", False, "http://127.1.2.3"),
        ("http://10.0.0.1", True, "http://10.0.0.1"),
    ],
)
def test_urls(url: str, exposed: bool, shown: str) -> None:  # noqa: FBT001 - of the table
    assert (checked_url(url), is_exposed(url), shown_url(url)) == (url, exposed, shown)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "ftp://h/",
        "http://",
        "http://h:99999/",
        "http://h:0/",
        "http://h/ x",
        "http://[::1",
        "http://h/\n",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="http:// or https:// and a host"):
        checked_url(url)
