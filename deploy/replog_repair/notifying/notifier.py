"""The loop of a notifier: read an outcome, post it until it is delivered or refused, commit."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from cloudevents.core.exceptions import BaseCloudEventException

from replog.errors import AuthenticationFailed, BrokerUnavailable, FatalError
from replog.telemetry import logger
from replog_collector.backoff import Backoff
from replog_collector.kafka.source import Unreadable
from replog_repair.notifying.webhook import Attempt, Verdict

if TYPE_CHECKING:
    from cloudevents.core.base import BaseCloudEvent

    from replog_collector.kafka.source import Message
    from replog_repair.notifying.selection import Selection


@dataclass(frozen=True)
class Timings:
    """Intervals of the loop, in seconds."""

    #: Greatest time that a poll waits for messages; a stop is noticed within it.
    poll_s: float = 0.5
    #: Least time between two commits.
    commit_s: float = 1.0
    #: Greatest delay after the first failure, and after any.
    first_backoff_s: float = 1.0
    most_backoff_s: float = 60.0


_TIMINGS = Timings()


class Reader(Protocol):
    """The port to the topic: :class:`replog_collector.topics.group_reader.GroupReader`."""

    @property
    def assignment(self) -> int:
        """Number of the present assignment of partitions."""

    async def poll(self, timeout_s: float) -> list[Message | Unreadable]:
        """The next messages. Raises AuthenticationFailed, BrokerUnavailable."""

    def done(self, message: Message | Unreadable) -> None:
        """Note that ``message`` and those before it need not come again."""

    async def commit(self) -> None:
        """Commit what is noted. Raises BrokerUnavailable."""


class Receiver(Protocol):
    """The port to the webhook: :class:`replog_repair.notifying.webhook.Webhook`."""

    async def post(self, event: BaseCloudEvent) -> Attempt:
        """Post ``event`` once."""


class OutcomeRefused(FatalError):  # noqa: N818 - named as the state it reports
    """The receiver refused an outcome, and the notifier was asked to be strict."""

    exit_code = 1


class Notifier:
    """Posts the outcomes that ``selection`` admits, in order for each partition, each until it is settled.

    An outcome that the receiver refuses is logged and passed over or, if ``strict``, ends the notifier.
    """

    def __init__(
        self,
        reader: Reader,
        receiver: Receiver,
        selection: Selection,
        *,
        strict: bool = False,
        timings: Timings = _TIMINGS,
    ) -> None:
        self._reader = reader
        self._receiver = receiver
        self._selection = selection
        self._strict = strict
        self._timings = timings
        self._stopping = asyncio.Event()
        self._commit_due_s = 0.0
        #: Whether Kafka has ever let this process in: what it refuses later may be credentials that are being renewed.
        self._connected = False

    def stop(self) -> None:
        """Have :meth:`run` settle the attempt under way and return; may be called from a signal handler."""
        self._stopping.set()

    async def run(self) -> None:
        """Post until :meth:`stop`. What is settled then is committed, where the broker answers.

        Raises:
            OutcomeRefused: the receiver refused an outcome, and this is ``strict``.
            FatalError: Kafka does not let this process in, and never did.
        """
        try:
            while not self._stopping.is_set():
                await self._settle_all(await self._poll())
                await self._commit()
        finally:
            await self._commit()

    async def _poll(self) -> list[Message | Unreadable]:
        backoff = self._backoff()
        while not self._stopping.is_set():
            try:
                messages = await self._reader.poll(self._timings.poll_s)
            except AuthenticationFailed as error:
                if not self._connected:
                    raise FatalError(str(error)) from error
                await self._back_off(backoff.next_s(), str(error), self._reader.assignment)
            except BrokerUnavailable as error:
                await self._back_off(backoff.next_s(), str(error), self._reader.assignment)
            else:
                self._connected = True
                if backoff.reset():
                    logger().info("recovered")
                return messages
        return []

    async def _settle_all(self, messages: list[Message | Unreadable]) -> None:
        assignment = self._reader.assignment
        for message in messages:
            settled = await self._settle(message, assignment)
            # Messages of an earlier assignment come again, to whichever member has their partition.
            if not settled or self._reader.assignment != assignment:
                return
            self._reader.done(message)
            if time.monotonic() >= self._commit_due_s:
                await self._commit()

    async def _settle(self, message: Message | Unreadable, assignment: int) -> bool:
        """Post ``message`` until that is settled; returns whether it is."""
        event = _event_of(message)
        if event is None or not self._selection.admits(event):
            return True
        backoff = self._backoff()
        while not self._stopping.is_set() and self._reader.assignment == assignment:
            attempt = await self._receiver.post(event)
            if attempt.verdict is not Verdict.LATER:
                self._note(event, attempt, failed_before=backoff.reset())
                return True
            delay_s = backoff.next_s()
            asked_s = attempt.retry_after_s
            await self._back_off(delay_s if asked_s is None else asked_s, attempt.text, assignment)
        return False

    def _note(self, event: BaseCloudEvent, attempt: Attempt, *, failed_before: bool) -> None:
        if attempt.verdict is Verdict.REFUSED:
            outcome = f"outcome {event.get_id()} of record {event.get_subject()}"
            if self._strict:
                raise OutcomeRefused(f"the webhook refuses {outcome}: {attempt.text}")
            logger().error(
                "outcome_refused",
                id=event.get_id(),
                record=event.get_subject(),
                type=event.get_type(),
                error=attempt.text,
            )
        elif failed_before:
            logger().info("recovered")

    async def _back_off(self, delay_s: float, error: str, assignment: int) -> None:
        """Wait; less where a stop comes, or another assignment: it may have other messages."""
        logger().warning("backing_off", delay_s=round(delay_s, 3), error=error)
        until_s = time.monotonic() + delay_s
        while (left_s := until_s - time.monotonic()) > 0 and self._reader.assignment == assignment:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, self._timings.poll_s)):
                    await self._stopping.wait()
                    return

    def _backoff(self) -> Backoff:
        return Backoff(self._timings.first_backoff_s, self._timings.most_backoff_s)

    async def _commit(self) -> None:
        self._commit_due_s = time.monotonic() + self._timings.commit_s
        try:
            await self._reader.commit()
        except BrokerUnavailable as error:
            # What was posted may be posted once more.
            logger().warning("commit_failed", error=str(error))


#: An id that a header can have.
_HEADER_VALUE = re.compile("[!-~]+")
#: What reading something else than a CloudEvent raises.
_NO_EVENT = (BaseCloudEventException, ValueError, TypeError, AttributeError, LookupError)


def _event_of(message: Message | Unreadable) -> BaseCloudEvent | None:
    """The CloudEvent that ``message`` is; None, and logged, where it is none."""
    error = message.error if isinstance(message, Unreadable) else ""
    event = None
    if not error:
        headers = {name: content or b"" for name, content in message.headers}
        try:
            event = from_kafka_event(KafkaMessage(headers, message.key, message.value or b""))
        except _NO_EVENT as failure:
            error = str(failure) or type(failure).__name__
    if event and not _HEADER_VALUE.fullmatch(event.get_id()):
        event, error = None, "its id is to consist of printable ASCII characters"
    if event is None:
        logger().error("outcome_unreadable", partition=message.partition, offset=message.offset, error=error)
    return event
