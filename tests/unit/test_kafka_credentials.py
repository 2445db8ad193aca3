"""Certificates and tokens of Kafka clients: renewed while the process runs, and refused by type."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError
from structlog.testing import capture_logs

from replog.errors import SettingsError
from replog.publisher.kafka_credentials import EndpointToken, tls_context
from replog.secret_files import Reloaded
from replog.settings import KafkaSettings, load
from tests.support.certificates import Authority
from tests.support.token_endpoint import CLIENT_ID, CLIENT_SECRET, issuing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.token_endpoint import TokenEndpoint

KEY_PASSWORD = "of-the-key"  # noqa: S105 - of a key that lives as long as a test


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with issuing() as running:
        yield running


def client_of(endpoint: TokenEndpoint, secret: str = CLIENT_SECRET) -> EndpointToken:
    return EndpointToken(endpoint.url, CLIENT_ID, Reloaded((), lambda: secret))


def certified(folder: Path, password: str | None) -> KafkaSettings:
    """The settings of a client whose key is encrypted."""
    authority = Authority(folder)
    files = authority.issue("client", "client.example", password=KEY_PASSWORD)
    return load(
        KafkaSettings,
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=str(authority.file),
        kafka_ssl_certfile=str(files.chain),
        kafka_ssl_keyfile=str(files.key),
        kafka_ssl_key_password=password,
    )


def authorities(context: ssl.SSLContext) -> list[object]:
    """The serial numbers of whom a context trusts."""
    return [one["serialNumber"] for one in context.get_ca_certs()]


def test_an_encrypted_key_is_used_with_its_password(tmp_path: Path) -> None:
    assert tls_context(certified(tmp_path / "ca", KEY_PASSWORD)).value.get_ca_certs()


@pytest.mark.parametrize("password", [None, "wrong"])
def test_an_encrypted_key_without_its_password_is_a_wrong_setting(tmp_path: Path, password: str | None) -> None:
    """OpenSSL asks for none on the terminal. The line names the variable, and no password."""
    settings = certified(tmp_path / "ca", password)
    with pytest.raises(SettingsError, match="REPLOG_KAFKA_SSL_KEY_PASSWORD") as refused:
        tls_context(settings)
    assert str(settings.kafka_ssl_keyfile) in str(refused.value)
    assert "wrong" not in str(refused.value).replace(str(tmp_path), "")


def test_certificates_are_read_again_when_they_change(tmp_path: Path) -> None:
    """One that cannot be used leaves those before it."""
    settings = certified(tmp_path / "ca", KEY_PASSWORD)
    reloaded = tls_context(settings)
    first = reloaded.value
    assert reloaded.value is first
    file = tmp_path / "ca" / "ca.pem"
    file.write_text("no certificate")
    with capture_logs() as lines:
        assert reloaded.value is first
    assert [line["event"] for line in lines] == ["secret_unreadable"]
    Authority(tmp_path / "other").file.rename(file)
    assert authorities(reloaded.value) != authorities(first)


async def test_a_token_is_used_for_most_of_its_life(endpoint: TokenEndpoint) -> None:
    """By connections that are opened at the same time, too."""
    client = client_of(endpoint)
    tokens = await asyncio.gather(*(client.token() for _ in range(5)))
    assert len(set(tokens)) == len(endpoint.forms) == 1
    # Its life is over at once.
    endpoint.life_s = 0
    client = client_of(endpoint)
    for number in range(3):
        await client.token()
        assert len(endpoint.forms) == 2 + number


async def test_a_client_that_the_endpoint_refuses_is_told_why(endpoint: TokenEndpoint) -> None:
    """In the endpoint's own words, and without the secret."""
    with pytest.raises(AuthenticationFailedError, match="401 invalid_client who is this") as refused:
        await client_of(endpoint, "hunter2").token()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("status", [204, 302, 500, 503])
async def test_an_endpoint_that_gives_no_token_is_tried_again(endpoint: TokenEndpoint, status: int) -> None:
    """An error of the driver's that it lives on with."""
    client = client_of(endpoint)
    endpoint.status = status
    with pytest.raises(KafkaConnectionError, match=f"{endpoint.url} gave no token"):
        await client.token()
    endpoint.status = 200
    assert await client.token()


async def test_an_endpoint_that_does_not_answer_is_tried_again() -> None:
    client = EndpointToken("http://127.0.0.1:1/token", CLIENT_ID, Reloaded((), lambda: CLIENT_SECRET))
    with pytest.raises(KafkaConnectionError, match=r"http://127\.0\.0\.1:1/token gave no token"):
        await client.token()
