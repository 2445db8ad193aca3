"""The connection arguments that publishers and collectors share."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from replog.errors import SettingsError
from replog.publisher.kafka_client import client_options, consumer_options
from replog.settings import CollectorSettings, KafkaSettings, load

if TYPE_CHECKING:
    from collections.abc import Callable


def options(**settings: Any) -> dict[str, Any]:
    """The arguments that ``settings`` make."""
    return client_options(load(KafkaSettings, **settings))


def test_plain_text_is_the_default() -> None:
    """No key that the driver would have to ignore."""
    assert options(kafka_bootstrap_servers="a:1,b:2") == {
        "bootstrap_servers": "a:1,b:2",
        "client_id": "replog-publisher",
        "security_protocol": "PLAINTEXT",
    }


def test_ssl_checks_the_broker() -> None:
    """Against the system's authorities where no file is given."""
    context = options(kafka_security_protocol="SSL")["ssl_context"].value
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_sasl_has_its_credentials() -> None:
    """The password leaves its wrapper here and nowhere else."""
    made = options(
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="worker",
        kafka_sasl_password="secret",
    )
    assert made["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (made["sasl_plain_username"], made["sasl_plain_password"].value) == ("worker", "secret")
    assert "ssl_context" not in made


def test_sasl_without_credentials_is_a_wrong_setting() -> None:
    """The variables are named."""
    with pytest.raises(SettingsError, match="REPLOG_KAFKA_SASL_USERNAME and REPLOG_KAFKA_SASL_PASSWORD"):
        options(kafka_security_protocol="SASL_SSL", kafka_sasl_username="worker")


def test_a_certificate_file_that_cannot_be_read_is_a_wrong_setting() -> None:
    """So is one that is no certificate."""
    for file in ("/no/such.pem", __file__):
        with pytest.raises(SettingsError, match=f"REPLOG_KAFKA_SSL_CAFILE={file}"):
            options(kafka_security_protocol="SSL", kafka_ssl_cafile=file)


def test_consumers_say_their_rack() -> None:
    """Producers have none: they write to leaders."""
    settings = load(CollectorSettings, kafka_client_id="c1", kafka_client_rack="zone-a")
    assert consumer_options(settings).items() >= {"client_id": "c1", "client_rack": "zone-a"}.items()
    assert "client_rack" not in client_options(settings)


def test_oauthbearer_needs_tokens() -> None:
    """The variables of both ways to get them are named."""
    with pytest.raises(SettingsError) as refused:
        options(kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER")
    assert str(refused.value) == (
        "REPLOG_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL, REPLOG_KAFKA_SASL_OAUTHBEARER_CLIENT_ID and "
        "REPLOG_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET, or REPLOG_KAFKA_SASL_OAUTHBEARER_TOKEN, are needed with SASL_SSL "
        "and OAUTHBEARER"
    )


def test_oauthbearer_has_one_source_of_tokens() -> None:
    """An endpoint, or the token itself."""
    both = {"kafka_sasl_oauthbearer_token": "t", "kafka_sasl_oauthbearer_token_endpoint_url": "http://h"}
    with pytest.raises(SettingsError) as refused:
        options(kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER", **both)
    assert str(refused.value) == (
        "REPLOG_KAFKA_SASL_OAUTHBEARER_TOKEN and REPLOG_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL are both set; "
        "allowed: one of them"
    )


async def reset_connections(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A broker that answers which requests it knows, and is killed with the next."""
    size = int.from_bytes(await reader.readexactly(4))
    correlation_id = (await reader.readexactly(size))[4:8]
    # No error, and no kind of request.
    answer = correlation_id + bytes(2) + bytes(4)
    writer.write(len(answer).to_bytes(4) + answer)
    await reader.readexactly(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def errors_of_a_lost_connection() -> list[BaseException]:
    """What a connection says that is written to until, and after, it has heard of its end."""
    server = await asyncio.start_server(reset_connections, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection: Any = await create_conn("127.0.0.1", port)
    asked = []
    async with server, asyncio.timeout(10):
        while connection.connected():
            asked.append(asyncio.ensure_future(send(connection)))
            await asyncio.sleep(0)
        asked.append(asyncio.ensure_future(send(connection)))
        errors = await asyncio.gather(*asked, return_exceptions=True)
    return [error for error in errors if isinstance(error, BaseException)]


async def send(connection: Any) -> Any:
    """What is answered to a request."""
    return await connection.send(ApiVersionRequest())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_lost_connection_says_so_with_the_clients_own_error(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Any other ends the tasks that the client lives by, without a word: it would stand still for ever."""
    with asyncio.Runner(loop_factory=loop) as runner:
        errors = runner.run(errors_of_a_lost_connection())
    assert errors
    assert {type(error) for error in errors} == {KafkaConnectionError}
