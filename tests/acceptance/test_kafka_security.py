"""Every way into a Kafka that lets not everybody in, for every client of this project; against a real broker."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from replog import Publisher, SyncPublisher
from replog.errors import AuthenticationFailed, BrokerRefused, BrokerUnavailable
from replog.settings import CollectorSettings, load, variable
from replog_collector.topics.administration import Administration
from replog_collector.topics.deletion import delete_before
from replog_collector.topics.group_reader import GroupReader
from replog_collector.topics.reader import TopicReader
from tests.support.background import Background
from tests.support.certificates import Authority
from tests.support.query_service import serving
from tests.support.services import ServiceUnavailableError
from tests.support.services import kafka as kafka_service
from tests.support.services.kafka_secured import KEY_PASSWORD, PASSWORD, SESSION_MS, USER, SecuredBroker, unsigned_token
from tests.support.services.process import wait_until
from tests.support.services.report import REPORT
from tests.support.system import CLI, COLLECTOR, System, command, environment, system_on
from tests.support.token_endpoint import CLIENT_ID, CLIENT_SECRET, TokenEndpoint, issuing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    #: Gives the settings of one way in.
    Access = Callable[[SecuredBroker], dict[str, str]]

DEADLINE_S = 60.0
#: Life of the tokens of a test in which they expire.
TOKEN_LIFE_S = 2.0


@pytest.fixture(scope="module")
def broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """One broker, with all its listeners, for the module."""
    choice = os.environ.get(kafka_service.VARIABLE)
    secured = SecuredBroker(tmp_path_factory.mktemp("secured-kafka"))
    why = f"{kafka_service.VARIABLE}={choice}"
    if choice in {None, "", "maven"}:
        try:
            secured.start()
            why = ""
        except ServiceUnavailableError as error:
            if choice:
                raise
            why = str(error)
    if why:
        pytestconfig.stash[REPORT].want_broker("tests/acceptance/test_kafka_security.py")
        pytest.skip(f"needs a broker from Maven: {why}")
    yield secured
    secured.close()


@pytest.fixture
def system(broker: SecuredBroker, redis_url: str, tmp_path: Path) -> Iterator[System]:
    """Processes on a topic of their own; the settings of a way in are to be added."""
    with system_on(broker, redis_url, tmp_path) as running:
        yield running


def tls(broker: SecuredBroker) -> dict[str, str]:
    return {
        "kafka_bootstrap_servers": broker.address_of("TLS"),
        "kafka_security_protocol": "SSL",
        "kafka_ssl_cafile": str(broker.authority.file),
    }


def client_certificate(broker: SecuredBroker) -> dict[str, str]:
    return tls(broker) | {
        "kafka_bootstrap_servers": broker.address_of("MUTUAL"),
        "kafka_ssl_certfile": str(broker.client.chain),
        "kafka_ssl_keyfile": str(broker.client.key),
        "kafka_ssl_key_password": KEY_PASSWORD,
    }


def sasl(broker: SecuredBroker, mechanism: str) -> dict[str, str]:
    return tls(broker) | {
        "kafka_bootstrap_servers": broker.address_of("SASL"),
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": mechanism,
        "kafka_sasl_username": USER,
        "kafka_sasl_password": PASSWORD,
    }


def plain(broker: SecuredBroker) -> dict[str, str]:
    return sasl(broker, "PLAIN")


def scram_256(broker: SecuredBroker) -> dict[str, str]:
    return sasl(broker, "SCRAM-SHA-256")


def scram_512(broker: SecuredBroker) -> dict[str, str]:
    return sasl(broker, "SCRAM-SHA-512")


def oauth(broker: SecuredBroker) -> dict[str, str]:
    return tls(broker) | {
        "kafka_bootstrap_servers": broker.address_of("OAUTH"),
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "OAUTHBEARER",
    }


def given_token(broker: SecuredBroker) -> dict[str, str]:
    return oauth(broker) | {"kafka_sasl_oauthbearer_token": unsigned_token(3600)}


def of_endpoint(endpoint: TokenEndpoint) -> dict[str, str]:
    return {
        "kafka_sasl_oauthbearer_token_endpoint_url": endpoint.url,
        "kafka_sasl_oauthbearer_client_id": CLIENT_ID,
        "kafka_sasl_oauthbearer_client_secret": CLIENT_SECRET,
        "kafka_sasl_oauthbearer_scope": "kafka",
    }


def other_authority(broker: SecuredBroker, folder: Path) -> dict[str, str]:
    return tls(broker) | {"kafka_ssl_cafile": str(Authority(folder / "other").file)}


def no_certificate(broker: SecuredBroker, _: Path) -> dict[str, str]:
    return tls(broker) | {"kafka_bootstrap_servers": broker.address_of("MUTUAL")}


def strange_certificate(broker: SecuredBroker, folder: Path) -> dict[str, str]:
    strange = Authority(folder / "other").issue("client", "client.example")
    files = {"kafka_ssl_certfile": str(strange.chain), "kafka_ssl_keyfile": str(strange.key)}
    return no_certificate(broker, folder) | files


def wrong_password(broker: SecuredBroker, _: Path) -> dict[str, str]:
    return scram_256(broker) | {"kafka_sasl_password": "hunter2"}


def wrong_mechanism(broker: SecuredBroker, _: Path) -> dict[str, str]:
    return scram_256(broker) | {"kafka_bootstrap_servers": broker.address_of("OAUTH")}


def expired_token(broker: SecuredBroker, _: Path) -> dict[str, str]:
    return oauth(broker) | {"kafka_sasl_oauthbearer_token": unsigned_token(-60)}


def settings_of(system: System, access: dict[str, str]) -> CollectorSettings:
    """The settings of a client in this process."""
    rack: dict[str, Any] = {"kafka_client_rack": "zone-a", "kafka_client_id": "client-of-tests"}
    return load(CollectorSettings, kafka_topic=system.topic, kafka_group_id=system.topic, **rack, **access)


def variables_of(access: dict[str, str]) -> dict[str, str]:
    """The settings of a process."""
    return {variable(name): value for name, value in access.items()}


async def publish(settings: CollectorSettings, *details: str) -> None:
    """Publish a record ``r`` with details."""
    async with (
        Publisher(settings) as publisher,
        publisher.record(task_key="t", record_id="r") as record,
    ):
        for detail_id in details:
            async with record.detail(
                detail_id=detail_id, local_cluster="a", remote_cluster="b", repo_name="n", package_name="p"
            ):
                pass


def publish_from_a_thread(settings: CollectorSettings) -> None:
    """The same by the publisher for threads, without details."""
    with SyncPublisher(settings) as publisher, publisher.record(task_key="t", record_id="r"):
        pass


async def messages_of(settings: CollectorSettings) -> int:
    """How many messages the topic has."""
    async with TopicReader(settings, settings.kafka_topic) as reader:
        return sum([len(messages) async for messages in reader.read(await reader.available())])


@pytest.mark.parametrize("access", [tls, client_certificate, plain, scram_256, scram_512, given_token])
async def test_every_client_gets_in(system: System, broker: SecuredBroker, access: Access) -> None:
    """Publishers, the readers of the operator's commands, of a notifier, and the administration."""
    settings = settings_of(system, access(broker))
    async with asyncio.timeout(DEADLINE_S):
        await publish(settings, "d")
        await asyncio.to_thread(publish_from_a_thread, settings)
        assert await messages_of(settings) == 6
        member = GroupReader(settings, system.topic, f"{system.topic}.other")
        assert await member.poll(DEADLINE_S)
        async with Administration(settings, timeout_s=10.0) as administration:
            assert system.topic in await administration.topics([system.topic])
            group = await administration.group(f"{system.topic}.other", system.topic)
            assert [one.client_id for one in group.members] == [settings.kafka_client_id]
        await member.stop()
        await delete_before(settings, system.topic, {0: 0})


async def test_tokens_come_from_an_endpoint(system: System, broker: SecuredBroker) -> None:
    """One token serves all connections of a client; the scope is asked for."""
    with issuing() as endpoint:
        settings = settings_of(system, oauth(broker) | of_endpoint(endpoint))
        await publish(settings)
        assert await messages_of(settings) == 2
    assert endpoint.forms == [{"grant_type": ["client_credentials"], "scope": ["kafka"]}] * 2


@pytest.mark.parametrize(
    ("access", "reason"),
    [
        (other_authority, "certificate verify failed"),
        (no_certificate, "certificate required|bad certificate"),
        (strange_certificate, "unknown ca|certificate unknown|bad certificate"),
        (wrong_password, "SaslAuthenticationFailed.*SCRAM-SHA-256"),
        (wrong_mechanism, "UnsupportedSaslMechanism|does not support"),
        (expired_token, "SaslAuthenticationFailed"),
    ],
)
async def test_every_client_says_why_it_is_not_let_in(
    system: System, broker: SecuredBroker, tmp_path: Path, access: Callable[..., dict[str, str]], reason: str
) -> None:
    """By the type of the error, and with the server and the reason in its text."""
    settings = settings_of(system, access(broker, tmp_path))
    says_why = f"(?is)^Kafka at {settings.kafka_bootstrap_servers}: .*({reason})"

    async def read() -> None:
        async with TopicReader(settings, settings.kafka_topic):
            pass

    async def administer() -> None:
        async with Administration(settings, timeout_s=10.0):
            pass

    member = GroupReader(settings, system.topic, f"{system.topic}.other")
    clients: list[Callable[[], Awaitable[Any]]] = [
        lambda: publish(settings),
        lambda: asyncio.to_thread(publish_from_a_thread, settings),
        read,
        lambda: member.poll(1.0),
        lambda: delete_before(settings, system.topic, {0: 0}),
    ]
    for client in clients:
        with pytest.raises(AuthenticationFailed, match=says_why):
            await client()
    with pytest.raises(BrokerRefused, match=f"(?is){reason}") as refused:
        await administer()
    assert refused.value.kind == "denied"
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("access", [other_authority, wrong_password])
def test_a_collector_that_is_not_let_in_ends(
    system: System, broker: SecuredBroker, tmp_path: Path, access: Callable[..., dict[str, str]]
) -> None:
    """With exit code 2, and one line that says why: a person has to change something."""
    collector = system.started(COLLECTOR, **variables_of(access(broker, tmp_path)))
    assert collector.wait() == 2
    last = collector.log.strip().splitlines()[-1]
    assert last.startswith(f"Kafka at {access(broker, tmp_path / 'again')['kafka_bootstrap_servers']}: ")
    assert "verif" in last or "SaslAuthenticationFailed" in last
    assert "hunter2" not in collector.log


def test_a_notifier_that_is_not_let_in_ends(system: System, broker: SecuredBroker, tmp_path: Path) -> None:
    """As a collector."""
    system.publish_outcomes()
    notifier = system.notifier("http://127.0.0.1:1/", **variables_of(wrong_password(broker, tmp_path)))
    notifier.start()
    assert notifier.wait() == 1
    assert notifier.log.strip().splitlines()[-1].startswith("Kafka at ")


def test_a_command_has_the_collectors_way_in(system: System, broker: SecuredBroker) -> None:
    """`replog lag` and `replog publish`, with the password in a file."""
    access = scram_512(broker)
    password = system.folder / "password"
    password.write_text(access.pop("kafka_sasl_password") + "\n")
    access["kafka_sasl_password_file"] = str(password)
    event = '{"type":"record.started","recordId":"r","taskKey":"t","eventTime":"2021-05-12T12:00:00Z"}\n'
    for arguments, stdin in ((["publish", "-"], event), (["lag", "--json"], "")):
        ended = subprocess.run(
            [*command(CLI), *arguments],
            input=stdin,
            env=environment(system.variables | variables_of(access)),
            cwd=system.folder,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


class Worker(Background):
    """A publisher in a thread, which publishes details until it is stopped."""

    def __init__(self, settings: CollectorSettings) -> None:
        super().__init__()
        self.published = 0
        self._settings = settings

    def run(self) -> None:
        """Publish details of one record."""
        asyncio.run(self._publish())

    async def _publish(self) -> None:
        async with Publisher(self._settings) as publisher, publisher.record(task_key="t", record_id="r") as record:
            while not self.over.is_set():
                async with record.detail(
                    detail_id=f"d{self.published}",
                    local_cluster="a",
                    remote_cluster="b",
                    repo_name="n",
                    package_name="p",
                ):
                    self.published += 1
                await asyncio.sleep(0.02)


def all_is_readable(system: System, published: int) -> None:
    """Require that a query service comes to answer that the record has so many details, all of them in SUCCESS."""
    asyncio.run(_all_is_readable(system, published))


async def _all_is_readable(system: System, published: int) -> None:
    variables = system.variables
    async with (
        serving(variables["REPLOG_REDIS_URL"], variables["REPLOG_REDIS_PREFIX"]) as service,
        asyncio.timeout(DEADLINE_S),
    ):
        while (await service.data("overview", "r") or {}).get("success") != published:
            await asyncio.sleep(0.1)


def nothing_went_wrong(system: System, collector: Any) -> None:
    """Require that no event was dead-lettered, and that the collector was never without its partitions for long."""
    assert system.dead_letters() == []
    assert len(collector.lines("partitions_assigned")) == 1


def test_no_event_is_lost_when_tokens_expire(system: System, broker: SecuredBroker) -> None:
    """The broker cuts off who has shown a token that is not valid any more. Clients come back with a new one."""
    with issuing(TOKEN_LIFE_S) as endpoint:
        access = oauth(broker) | of_endpoint(endpoint)
        collector = system.started(COLLECTOR, **variables_of(access))
        assert wait_until(lambda: bool(collector.lines("partitions_assigned")), DEADLINE_S)
        before = len(endpoint.forms)
        with Worker(settings_of(system, access)) as worker:
            # Some lives of a token: each client asked again.
            assert wait_until(lambda: len(endpoint.forms) >= before + 5, DEADLINE_S)
        all_is_readable(system, worker.published)
        nothing_went_wrong(system, collector)
        assert collector.stop() == 0


def test_a_token_in_a_file_is_renewed(system: System, broker: SecuredBroker) -> None:
    """By who made it, before it expires."""
    file = system.folder / "token"

    def renew() -> None:
        file.with_name("new").write_text(unsigned_token(TOKEN_LIFE_S))
        file.with_name("new").rename(file)

    renew()
    access = oauth(broker) | {"kafka_sasl_oauthbearer_token_file": str(file)}
    collector = system.started(COLLECTOR, **variables_of(access))
    with Worker(settings_of(system, access)) as worker:
        # It looks at the file where it connects: these are connections that the broker has cut off.
        while (reloaded := len(collector.lines("secret_reloaded"))) < 4:
            assert collector.running
            renew()
            wait_until(lambda seen=reloaded: len(collector.lines("secret_reloaded")) > seen, TOKEN_LIFE_S / 3)  # type: ignore[misc]
    all_is_readable(system, worker.published)
    nothing_went_wrong(system, collector)


def test_a_password_is_rotated(system: System, broker: SecuredBroker) -> None:
    """At the broker first, and then in the file, while collector and worker run: they wait in between."""
    password = system.folder / "password"
    password.write_text(PASSWORD)
    access = {
        "kafka_bootstrap_servers": broker.address_of("SHORT"),
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_mechanism": "SCRAM-SHA-256",
        "kafka_sasl_username": USER,
        "kafka_sasl_password_file": str(password),
    }
    collector = system.started(COLLECTOR, **variables_of(access))
    assert wait_until(lambda: bool(collector.lines("partitions_assigned")), DEADLINE_S)
    try:
        with Worker(settings_of(system, access)) as worker:
            broker.set_password("another-one")
            assert wait_until(lambda: "AuthenticationFailed" in collector.log, DEADLINE_S)
            assert collector.running
            password.write_text("another-one\n")
            assert wait_until(lambda: bool(collector.lines("secret_reloaded")), DEADLINE_S)
            before = worker.published
            assert wait_until(lambda: worker.published > before + SESSION_MS // 20, DEADLINE_S)
        all_is_readable(system, worker.published)
        assert system.dead_letters() == []
        assert collector.stop() == 0
    finally:
        broker.set_password(PASSWORD)


async def test_an_endpoint_that_refuses_is_told_from_one_that_does_not_answer(
    system: System, broker: SecuredBroker
) -> None:
    """The first needs a person, the second is tried again."""
    with issuing() as endpoint:
        settings = settings_of(system, oauth(broker) | of_endpoint(endpoint))
        endpoint.secret = "another"  # noqa: S105 - of the tests
        with pytest.raises(AuthenticationFailed, match="401 invalid_client who is this"):
            await publish(settings)
        endpoint.status = 503
        with pytest.raises(BrokerUnavailable) as unavailable:
            await publish(settings)
        assert not isinstance(unavailable.value, AuthenticationFailed)
