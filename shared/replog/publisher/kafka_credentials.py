"""Credentials of Kafka clients: passwords, certificates and OAuth tokens, and the authorities that they trust.

Files are read again when they change, and a new token is requested before the last one expires. Each new connection
takes the credentials of that moment.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from replog.errors import SettingsError
from replog.secret_files import Reloaded
from replog.settings import secret, variable

if TYPE_CHECKING:
    import httpx

    from replog.settings import KafkaSettings

#: Seconds that a token endpoint may take to answer.
ENDPOINT_TIMEOUT_S = 5.0
#: Share of a token's life after which another one is asked for.
_RENEWED_AFTER = 0.8
_CERTIFICATE_FILES = ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile")


def tls_context(settings: KafkaSettings) -> Reloaded[ssl.SSLContext]:
    """The context for connections with TLS, made anew when a certificate, key or password changes.

    Raises:
        SettingsError: one of the files cannot be used.
    """
    password = secret(settings, "kafka_ssl_key_password", str)
    files = [Path(path) for path in _certificate_files(settings).values()]
    if settings.kafka_ssl_key_password_file:
        files.append(settings.kafka_ssl_key_password_file)
    return Reloaded(files, lambda: _tls_context(settings, password))


def _tls_context(settings: KafkaSettings, password: Reloaded[str] | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if settings.kafka_ssl_certfile:
            # Without a password, OpenSSL would ask for one on the terminal.
            key_password = password.value if password else ""
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile, password=key_password)
    except OSError as error:
        names = ", ".join(f"{variable(name)}={value}" for name, value in _certificate_files(settings).items())
        raise SettingsError(
            f"{names}: cannot be used ({error}); allowed: readable PEM files, and the password of an encrypted key in "
            f"{variable('kafka_ssl_key_password')}"
        ) from error
    return context


def _certificate_files(settings: KafkaSettings) -> dict[str, str]:
    return {name: value for name in _CERTIFICATE_FILES if (value := getattr(settings, name))}


def sasl_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options of a client that authenticates by SASL; the password is a :class:`Reloaded`.

    Raises:
        SettingsError: credentials are missing.
    """
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": _token_provider(settings)}
    password = secret(settings, "kafka_sasl_password", str)
    if settings.kafka_sasl_username is None or password is None:
        raise _missing(settings, "kafka_sasl_username", "kafka_sasl_password")
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": password,
    }


def _token_provider(settings: KafkaSettings) -> AbstractTokenProvider:
    token = secret(settings, "kafka_sasl_oauthbearer_token", str)
    url = settings.kafka_sasl_oauthbearer_token_endpoint_url
    if token and url:
        names = ("kafka_sasl_oauthbearer_token", "kafka_sasl_oauthbearer_token_endpoint_url")
        raise SettingsError(f"{' and '.join(map(variable, names))} are both set; allowed: one of them")
    if token:
        return GivenToken(token)
    client_id = settings.kafka_sasl_oauthbearer_client_id
    client_secret = secret(settings, "kafka_sasl_oauthbearer_client_secret", str)
    if url is None or client_id is None or client_secret is None:
        raise _missing(
            settings,
            "kafka_sasl_oauthbearer_token_endpoint_url",
            "kafka_sasl_oauthbearer_client_id",
            "kafka_sasl_oauthbearer_client_secret",
            instead=f", or {variable('kafka_sasl_oauthbearer_token')},",
        )
    scope = settings.kafka_sasl_oauthbearer_scope
    return EndpointToken(url, client_id, client_secret, scope=scope, cafile=settings.kafka_ssl_cafile)


def _missing(settings: KafkaSettings, *names: str, instead: str = "") -> SettingsError:
    needed = ", ".join(map(variable, names[:-1])) + f" and {variable(names[-1])}{instead}"
    with_what = f"{settings.kafka_security_protocol} and {settings.kafka_sasl_mechanism}"
    return SettingsError(f"{needed} are needed with {with_what}")


class GivenToken(AbstractTokenProvider):
    """The token of a setting, or of a file that somebody else renews."""

    def __init__(self, token: Reloaded[str]) -> None:
        self._token = token

    async def token(self) -> str:
        """The token of the present moment."""
        return self._token.value


class EndpointToken(AbstractTokenProvider):
    """Tokens of an OAuth 2.0 endpoint, for client credentials (RFC 6749, section 4.4).

    Each is used for most of its life. The endpoint's certificate is checked by the authorities of the system and those
    of ``cafile``.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: Reloaded[str],
        *,
        scope: str | None = None,
        cafile: str | None = None,
        timeout_s: float = ENDPOINT_TIMEOUT_S,
    ) -> None:
        self._url = url
        self._client_id = client_id
        self._client_secret = client_secret
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._cafile = cafile
        self._timeout_s = timeout_s
        self._asking = asyncio.Lock()
        self._token = ""
        self._used_until_s = 0.0

    async def token(self) -> str:
        """A token that is valid now.

        Raises:
            AuthenticationFailedError: the endpoint refuses the client.
            KafkaConnectionError: it does not answer, or answers no token. The driver's tasks survive its own errors.
        """
        # Connections that are opened at the same time share one answer.
        async with self._asking:
            if time.monotonic() >= self._used_until_s:
                asked_s = time.monotonic()
                self._token, life_s = await self._ask()
                self._used_until_s = asked_s + life_s * _RENEWED_AFTER
        return self._token

    async def _ask(self) -> tuple[str, float]:
        import httpx  # noqa: PLC0415 - most publishers need none of it

        try:
            async with httpx.AsyncClient(verify=self._authorities(), timeout=self._timeout_s) as client:
                credentials = (self._client_id, self._client_secret.value)
                answer = await client.post(self._url, data=self._form, auth=credentials)
        except (httpx.HTTPError, OSError) as error:
            raise KafkaConnectionError(f"{self._url} gave no token: {str(error) or type(error).__name__}") from error
        if answer.is_client_error:
            raise AuthenticationFailedError(f"{self._url} refused a token: {answer.status_code} {_reason(answer)}")
        try:
            body = answer.raise_for_status().json()
            # A token without a known life is used for one connection.
            return str(body["access_token"]), float(body.get("expires_in", 0))
        except (httpx.HTTPError, ValueError, TypeError, KeyError) as error:
            raise KafkaConnectionError(f"{self._url} gave no token: {answer.status_code}, {error!r}") from error

    def _authorities(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._cafile:
            context.load_verify_locations(cafile=self._cafile)
        return context


def _reason(answer: httpx.Response) -> str:
    """Error code of RFC 6749 and its description, if the endpoint sent them; else the HTTP reason."""
    try:
        body = answer.json()
        words = [str(body[name]) for name in ("error", "error_description") if name in body]
    except (ValueError, TypeError):
        words = []
    return " ".join(words) or answer.reason_phrase
