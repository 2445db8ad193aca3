"""The Kafka edge of publishers and collectors: connection arguments, and a producer that loses nothing.

Only this module and the collector's consumer speak to ``aiokafka``; its errors are translated here.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import aiokafka.conn
from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from replog.errors import BrokerUnavailable, MessageTooLargeError, SettingsError
from replog.events import MAX_VALUE_BYTES
from replog.settings import variable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from replog.settings import KafkaSettings

#: How long a producer waits for further events before it sends a batch.
LINGER_MS = 5
#: Largest batch a partition, in bytes; aiokafka's own default of 16 KiB is 50 events.
BATCH_BYTES = 128 * 1024
#: Largest request, in bytes: far above what topics are set to, so that the broker has the last word.
REQUEST_BYTES = 32 * MAX_VALUE_BYTES


class _Connection(AIOKafkaConnection):
    """A connection that was lost says so, also before its reader has heard of it.

    A transport of uvloop that is closed raises RuntimeError where asyncio's drops what is written. The clients expect
    their own errors and OSError: the tasks in which they learn of new leaders, fetch and send would end there for ever.
    """

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - the base class has it so
        self._require_transport()
        return super().send(request, expect_response)  # type: ignore[no-untyped-call]

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002
        self._require_transport()
        return super()._send_sasl_token(payload, expect_response)  # type: ignore[no-untyped-call]

    def _require_transport(self) -> None:
        if self._writer is not None and self._writer.transport.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)  # type: ignore[no-untyped-call]
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} closed")


# The clients make their connections by themselves, of this class alone.
aiokafka.conn.AIOKafkaConnection = _Connection  # type: ignore[misc]


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The connection arguments of any aiokafka client.

    Raises:
        SettingsError: credentials are missing, or a certificate file cannot be read.
    """
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": protocol,
    }
    if protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if protocol.startswith("SASL"):
        options |= _credentials(settings)
    return options


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if settings.kafka_ssl_certfile:
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
    except OSError as error:
        names = ", ".join(f"{variable(name)}={value}" for name, value in _certificate_files(settings).items())
        raise SettingsError(f"{names}: cannot be used ({error}); allowed: readable PEM files") from error
    return context


def _certificate_files(settings: KafkaSettings) -> dict[str, str]:
    names = ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile")
    return {name: value for name in names if (value := getattr(settings, name))}


def _credentials(settings: KafkaSettings) -> dict[str, str]:
    if settings.kafka_sasl_username is None or settings.kafka_sasl_password is None:
        needed = f"{variable('kafka_sasl_username')} and {variable('kafka_sasl_password')}"
        raise SettingsError(f"{needed} are needed with {settings.kafka_security_protocol}")
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
    }


class KafkaProducer:
    """Sends messages to one topic: acknowledged by all in-sync replicas, in order a partition.

    ``idempotent`` keeps the broker from storing one twice where an acknowledgement was lost; the price is that after a
    message that the broker refuses, the others in flight fail too.

    Tries again by itself for as long as it takes; the caller has the deadline and ends with :meth:`stop`, or
    with :meth:`abort` where something is still not acknowledged.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, idempotent: bool = True) -> None:
        self._idempotent = idempotent
        self._servers = settings.kafka_bootstrap_servers
        self._options = client_options(settings)
        #: Where its messages go.
        self.topic = topic
        self._producer: Any = None

    async def start(self) -> None:
        """Connect.

        Raises:
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
            await self._translated(producer.start)
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def send(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> asyncio.Future[Any]:
        """Buffer one message; waits while the buffer is full.

        Returns:
            What ends when the broker has acknowledged the message, or with the error why it never will.

        Raises:
            BrokerUnavailable: the topic is not there, or the buffer stayed full.
            MessageTooLargeError: no broker takes a message of this size.
        """
        producer = self._started()
        acknowledgement: asyncio.Future[Any] = await self._translated(
            lambda: producer.send(self.topic, key=key, value=value, headers=list(headers))
        )
        return acknowledgement

    async def acknowledged(self, acknowledgement: asyncio.Future[Any]) -> None:
        """Return once the broker has acknowledged what :meth:`send` answered with.

        Raises:
            BrokerUnavailable: it did not; the same message may be sent again.
            MessageTooLargeError: the topic takes no message of this size.
        """
        await self._translated(lambda: acknowledgement)

    async def stop(self) -> None:
        """Disconnect once all that was sent is acknowledged; nothing where it was never connected."""
        if self._producer is not None:
            await self._producer.stop()

    async def abort(self) -> None:
        """Disconnect now; what is not acknowledged never will be."""
        producer = self._started()
        # aiokafka has no public way to give up: its stop() waits for the broker without end.
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
        # Larger than the topic's messages may be; or than its segments.
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise MessageTooLargeError(f"Kafka at {self._servers}: {error}") from error
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka at {self._servers}: {error}") from error
