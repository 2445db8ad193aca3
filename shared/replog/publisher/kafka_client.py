"""Parts that all Kafka clients share: options from the settings, connections, reasons why brokers refuse them."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason, OAuthAuthenticator, collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from replog.errors import AuthenticationFailed
from replog.publisher.kafka_credentials import sasl_options, tls_context
from replog.secret_files import Reloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from replog.settings import KafkaSettings

#: Milliseconds in which a broker that refused a client has to say why.
_REASON_TIMEOUT_MS = 3000
#: Errors by which a broker, or a token endpoint, refuses credentials.
REFUSALS = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
#: What a client answers to a refused token.
_CONFIRMATION = b"\x01"
#: Reasons to close a connection that leave nothing to be said on it.
_ABRUPT = frozenset({CloseReason.AUTH_FAILURE, CloseReason.CONNECTION_BROKEN})
#: Errors of TLS that say that the other side is gone, and nothing of certificates.
_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _OAuthAuthenticator(OAuthAuthenticator):
    """Tells a refused token from an accepted one: the driver takes any answer of the broker for its consent.

    A broker that refuses a token says why, and ends the exchange only after the client has confirmed that (RFC 7628,
    section 3.2.3). Without it, the next request would wait for its time-out.
    """

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if payload:
            return _CONFIRMATION, True
        answer: tuple[bytes, bool] | None = await super().step(payload)  # type: ignore[no-untyped-call]
        return answer


class _Connection(AIOKafkaConnection):
    """A connection with the credentials of the moment, which reports a lost transport as a connection error.

    It does so even before its reader has noticed the loss. A closed transport of uvloop raises RuntimeError on writing,
    while asyncio's drops the data. aiokafka's background tasks handle only its own errors and OSError. A RuntimeError
    would end the tasks that fetch, send and find leaders.
    """

    def __init__(self, *place: Any, ssl_context: Any = None, sasl_plain_password: Any = None, **options: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            *place, ssl_context=_now(ssl_context), sasl_plain_password=_now(sasl_plain_password), **options
        )

    def authenticator_oauth(self) -> OAuthAuthenticator:
        return _OAuthAuthenticator(sasl_oauth_token_provider=self._sasl_oauth_token_provider)  # type: ignore[no-untyped-call]

    def close(self, reason: CloseReason | None = None, exc: BaseException | None = None) -> Any:
        # A side that refuses or is gone says no farewell, for which TLS would wait, beyond the end of the event loop.
        if reason in _ABRUPT and self._writer is not None:
            self._writer.transport.abort()
        return super().close(reason, exc)  # type: ignore[no-untyped-call]

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - the base class has it so
        self._require_transport()
        return super().send(request, expect_response)  # type: ignore[no-untyped-call]

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002
        self._require_transport()
        return super()._send_sasl_token(payload, expect_response)  # type: ignore[no-untyped-call]

    def _require_transport(self) -> None:
        if self._writer is not None and self._writer.transport.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} closed")


# aiokafka creates its connections itself, from this name.
aiokafka.conn.AIOKafkaConnection = _Connection  # type: ignore[misc]


def _now(option: Any) -> Any:
    return option.value if isinstance(option, Reloaded) else option


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of any aiokafka client.

    Raises:
        SettingsError: credentials are missing, or a certificate file cannot be read.
    """
    return {"bootstrap_servers": settings.kafka_bootstrap_servers, **_connection_options(settings)}


def consumer_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of an aiokafka consumer. Raises SettingsError, as :func:`client_options`."""
    return {"client_rack": settings.kafka_client_rack, **client_options(settings)}


def _connection_options(settings: KafkaSettings) -> dict[str, Any]:
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {"client_id": settings.kafka_client_id, "security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = tls_context(settings)
    if protocol.startswith("SASL"):
        options |= sasl_options(settings)
    return options


async def connected(connect: Callable[[], Awaitable[Any]], settings: KafkaSettings) -> None:
    """Await ``connect``, which connects a client that was made with ``settings``.

    Raises:
        AuthenticationFailed: the brokers that answer do not let the client in, or their certificates are not trusted.
        KafkaError: an error of the client: no broker can be used, for another reason.
    """
    try:
        await connect()
    except KafkaConnectionError as error:
        # The client logs why no broker can be used, and raises what says nothing of that.
        for reason in await _reasons(settings):
            if refusal := _refusal_in(reason):
                raise AuthenticationFailed(f"Kafka at {settings.kafka_bootstrap_servers}: {refusal}") from error
            if isinstance(reason, KafkaError):
                raise reason from error
        raise


async def _reasons(settings: KafkaSettings) -> list[Exception]:
    """Reasons why brokers cannot be connected to with ``settings``, refusals first."""
    if settings.kafka_security_protocol == "PLAINTEXT":
        return []
    options = _connection_options(settings)
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(_reason(host, port, options), name="reason of a refusal")
            for host, port, _ in collect_hosts(settings.kafka_bootstrap_servers)
        ]
    reasons = [reason for one in asked if (reason := one.result())]
    return sorted(reasons, key=lambda reason: _refusal_in(reason) is None)


async def _reason(host: str, port: int, options: dict[str, Any]) -> Exception | None:
    try:
        connection = await create_conn(host, port, request_timeout_ms=_REASON_TIMEOUT_MS, **options)
    except (KafkaError, OSError, TimeoutError) as error:
        return error
    connection.close()
    return None


def _refusal_in(error: BaseException | None) -> BaseException | None:
    """The refusal among ``error`` and its causes: with TLS 1.3 a broker refuses a certificate after the handshake."""
    while error is not None:
        if isinstance(error, REFUSALS) or (isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN_OFF)):
            return error
        error = error.__cause__
    return None
