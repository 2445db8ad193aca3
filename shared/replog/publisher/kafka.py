"""The Kafka edge of publishers and collectors: a producer that loses nothing. It translates the driver's errors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from replog.errors import BrokerUnavailable, MessageTooLargeError
from replog.events import MAX_VALUE_BYTES
from replog.publisher.kafka_client import client_options, connected

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from replog.settings import KafkaSettings

#: Milliseconds that a producer waits for further events before it sends a batch.
LINGER_MS = 5
#: Largest batch for a partition, in bytes. aiokafka's default of 16 KiB holds only about 50 events.
BATCH_BYTES = 128 * 1024
#: Largest request, in bytes: far above the limits of topics, so that the broker decides.
REQUEST_BYTES = 32 * MAX_VALUE_BYTES


class KafkaProducer:
    """Sends messages to one topic, in order for each partition; all in-sync replicas acknowledge them.

    With ``idempotent`` the broker stores a message once even if its acknowledgement was lost. In return, a message that
    the broker refuses makes the others in flight fail, too.

    The producer retries without a limit, so the caller sets the deadline. It ends with :meth:`stop`, or with
    :meth:`abort` if messages are still not acknowledged.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, idempotent: bool = True) -> None:
        self._idempotent = idempotent
        self._settings = settings
        self._servers = settings.kafka_bootstrap_servers
        self._options = client_options(settings)
        #: Topic of all messages.
        self.topic = topic
        self._producer: Any = None

    async def start(self) -> None:
        """Connect.

        Raises:
            AuthenticationFailed: the brokers that answer do not let this process in, or are not trusted.
            BrokerUnavailable: no broker answers.
        """
        producer: Any = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=self._idempotent,
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
        )
        try:
            await self._translated(lambda: connected(producer.start, self._settings))
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def send(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> asyncio.Future[Any]:
        """Buffer one message; waits while the buffer is full.

        Returns:
            A future that completes when the broker acknowledges the message, or fails with the reason why it cannot.

        Raises:
            BrokerUnavailable: the topic does not exist, or the buffer stayed full.
            MessageTooLargeError: no broker accepts a message of this size.
        """
        producer = self._started()
        acknowledgement: asyncio.Future[Any] = await self._translated(
            lambda: producer.send(self.topic, key=key, value=value, headers=list(headers))
        )
        return acknowledgement

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        """Wait for an ``acknowledgement`` that :meth:`send` returned.

        Raises:
            BrokerUnavailable: there is none; the same message may be sent again.
            MessageTooLargeError: the topic accepts no message of this size.
        """
        await self._translated(lambda: acknowledgement)

    async def stop(self) -> None:
        """Disconnect once every message is acknowledged. Does nothing if the producer was never started."""
        if self._producer is not None:
            await self._producer.stop()

    async def abort(self) -> None:
        """Disconnect now, without waiting for acknowledgements."""
        producer = self._started()
        # aiokafka has no public way to give up: its stop() waits for the broker without a limit.
        with contextlib.suppress(KafkaError):
            await producer._sender.close()  # noqa: SLF001
        producer._closed = True  # noqa: SLF001
        await producer.client.close()

    def _started(self) -> Any:
        if self._producer is None:
            raise RuntimeError("the producer is not started")
        return self._producer

    async def _translated(self, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        # The message exceeds the topic's limit, or its segment size.
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise MessageTooLargeError(f"Kafka at {self._servers}: {error}") from error
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka at {self._servers}: {error}") from error
