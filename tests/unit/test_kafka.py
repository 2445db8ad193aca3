"""The connection arguments that publishers and collectors share."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from replog.errors import SettingsError
from replog.kafka import client_options
from replog.settings import KafkaSettings, load


def options(**settings: Any) -> dict[str, Any]:
    """The arguments that ``settings`` make."""
    return client_options(load(KafkaSettings, **settings))


def test_plain_text_is_the_default() -> None:
    """No key that the driver would have to ignore."""
    assert options(kafka_bootstrap_servers="a:1,b:2") == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "PLAINTEXT",
    }


def test_ssl_checks_the_broker() -> None:
    """Against the system's authorities where no file is given."""
    context = options(kafka_security_protocol="SSL")["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_sasl_has_its_credentials() -> None:
    """The password leaves its wrapper here and nowhere else."""
    made = options(
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="worker",
        kafka_sasl_password="secret",  # noqa: S106 - a test's
    )
    assert made["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (made["sasl_plain_username"], made["sasl_plain_password"]) == ("worker", "secret")
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
