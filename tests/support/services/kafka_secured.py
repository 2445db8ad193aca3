"""A real broker of the tests' own with a listener for each way to get in: TLS, SASL, client certificates, OAuth."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.support.certificates import Authority
from tests.support.services.kafka_admin import TOPIC_TIMEOUT_S
from tests.support.services.kafka_maven import MavenBroker
from tests.support.services.process import free_port

if TYPE_CHECKING:
    from pathlib import Path

USER, PASSWORD, KEY_PASSWORD = "replog", "of-the-tests", "of-the-key"
#: Name of the settings' mechanism, and of the broker's own for it.
SCRAM = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}
#: After so long the broker wants to see the credentials of :data:`SHORT` again, and cuts off who does not show them.
SESSION_MS = 1500
#: Listeners by their names, with the protocol of each.
LISTENERS = {
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "SASL": "SASL_SSL",
    "SHORT": "SASL_PLAINTEXT",
    "OAUTH": "SASL_SSL",
}
_LOGIN = "org.apache.kafka.common.security"


class SecuredBroker:
    """Apache Kafka, whose listener PLAINTEXT is for the tests themselves."""

    kind = "maven"

    def __init__(self, data_dir: Path) -> None:
        self.authority = Authority(data_dir / "authority")
        server = self.authority.issue("broker", "127.0.0.1", "localhost")
        self.client = self.authority.issue("client", "client.example", password=KEY_PASSWORD)
        self._ports = {name: free_port() for name in LISTENERS}
        self._broker = MavenBroker(data_dir, patient=True)
        self._broker.more_properties = self._properties(server.both)
        #: Of the listener without any protection.
        self.address = self._broker.address

    def start(self) -> None:
        """Start it, with the user of SCRAM.

        Raises:
            ServiceUnavailableError: it cannot be started here.
        """
        self._broker.start()
        try:
            self.set_password(PASSWORD)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it for good."""
        self._broker.close()

    def address_of(self, listener: str) -> str:
        """``host:port`` of a listener."""
        return f"127.0.0.1:{self._ports[listener]}"

    def set_password(self, password: str) -> None:
        """Make ``password`` the user's from now on; sessions go on."""
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        # One request for each: the broker takes no user twice in one.
        for mechanism in SCRAM.values():
            change = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), password.encode())
            for changed in admin.alter_user_scram_credentials([change]).values():
                changed.result(TOPIC_TIMEOUT_S)

    def _properties(self, keystore: Path) -> dict[str, str]:
        plain, controller = self._broker.address, self._broker.controller
        addresses = {name: f"127.0.0.1:{port}" for name, port in self._ports.items()}
        advertised = ",".join(f"{name}://{address}" for name, address in {"PLAINTEXT": plain, **addresses}.items())
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **LISTENERS}
        return {
            "listeners": f"{advertised},CONTROLLER://{controller}",
            "advertised.listeners": advertised,
            "listener.security.protocol.map": ",".join(f"{name}:{one}" for name, one in protocols.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.sasl.sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM)),
            "listener.name.sasl.plain.sasl.jaas.config": (
                f'{_LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            ),
            "listener.name.short.sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "listener.name.short.scram-sha-256.connections.max.reauth.ms": str(SESSION_MS),
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            # Kafka's own handlers for tests: tokens are checked for their life, and signed by nobody.
            "listener.name.oauth.oauthbearer.sasl.jaas.config": (
                f'{_LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
            ),
            **{
                f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config": (
                    f"{_LOGIN}.scram.ScramLoginModule required;"
                )
                for listener, mechanism in (
                    ("sasl", "SCRAM-SHA-256"),
                    ("sasl", "SCRAM-SHA-512"),
                    ("short", "SCRAM-SHA-256"),
                )
            },
        }


def unsigned_token(life_s: float) -> str:
    """A token that the listener OAUTH takes for ``life_s`` from now on."""
    now_s = time.time()
    parts = ({"alg": "none"}, {"sub": USER, "iat": now_s, "exp": now_s + life_s})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, ""))
