"""The Kafka edge of publishers and collectors: connection arguments, and a producer that loses nothing.

This module translates the errors of ``aiokafka``. Besides it, only :mod:`replog_collector.kafka` imports the driver.
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

#: Milliseconds that a producer waits for further events before it sends a batch.
LINGER_MS = 5
#: Largest batch for a partition, in bytes. aiokafka's default of 16 KiB holds only about 50 events.
BATCH_BYTES = 128 * 1024
#: Largest request, in bytes: far above the limits of topics, so that the broker decides.
REQUEST_BYTES = 32 * MAX_VALUE_BYTES


class _Connection(AIOKafkaConnection):
    """A connection that reports a lost transport as a connection error, even before its reader has noticed the loss.

    A closed transport of uvloop raises RuntimeError on writing, while asyncio's drops the data. aiokafka's background
    tasks handle only its own errors and OSError. A RuntimeError would end the tasks that fetch, send and find leaders.
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


# aiokafka creates its connections itself, from this name.
aiokafka.conn.AIOKafkaConnection = _Connection  # type: ignore[misc]


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Connection arguments for any aiokafka client.

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
    """Sends messages to one topic, in order for each partition; all in-sync replicas acknowledge them.

    With ``idempotent`` the broker stores a message once even if its acknowledgement was lost. In return, a message that
    the broker refuses makes the others in flight fail, too.

    The producer retries without a limit, so the caller sets the deadline. It ends with :meth:`stop`, or with
    :meth:`abort` if messages are still not acknowledged. ``client`` makes the driver's producer.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        *,
        idempotent: bool = True,
        client: Callable[..., Any] = AIOKafkaProducer,
    ) -> None:
        self._client = client
        self._idempotent = idempotent
        self._servers = settings.kafka_bootstrap_servers
        self._options = client_options(settings)
        #: Topic of all messages.
        self.topic = topic
        self._producer: Any = None

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailable: no broker answers.
        """
        producer: Any = self._client(
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
