"""Settings: the operator's contract, and one line for each wrong value that gives no secret away."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog import redis_url
from replog.errors import SettingsError
from replog.settings import (
    ApiSettings,
    CollectorSettings,
    KafkaSettings,
    NotifySettings,
    describe,
    load,
    load_or_exit,
    mask_url,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "hunter2"  # noqa: S105 - looked for in messages

#: What docs/operations.md promises.
COLLECTOR_DEFAULTS = {
    "REPLOG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "REPLOG_KAFKA_TOPIC": "replication.task.events",
    "REPLOG_KAFKA_DLQ_TOPIC": None,
    "REPLOG_KAFKA_GROUP_ID": "replog-collector",
    "REPLOG_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
    "REPLOG_REDIS_URL": "redis://127.0.0.1:6379/0",
    "REPLOG_REDIS_PREFIX": "replog",
    "REPLOG_COLLECTOR_HOST": "127.0.0.1",
    "REPLOG_COLLECTOR_PORT": 9464,
    "REPLOG_LOG_FORMAT": None,
    "REPLOG_LOG_LEVEL": "INFO",
}
API_DEFAULTS = {
    "REPLOG_REDIS_URL": "redis://127.0.0.1:6379/0",
    "REPLOG_REDIS_PREFIX": "replog",
    "REPLOG_STALE_AFTER_S": 900,
    "REPLOG_API_HOST": "127.0.0.1",
    "REPLOG_API_PORT": 8080,
    "REPLOG_API_WORKERS": 1,
    "REPLOG_API_INSECURE": False,
    "REPLOG_TIME_ZONE": "UTC",
    "REPLOG_LOG_FORMAT": None,
    "REPLOG_LOG_LEVEL": "INFO",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("REPLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def line_of(group: Any, monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """The message about ``variables`` of the environment."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load(group)
    return str(refused.value)


@pytest.mark.parametrize(("group", "defaults"), [(CollectorSettings, COLLECTOR_DEFAULTS), (ApiSettings, API_DEFAULTS)])
def test_defaults_are_those_of_the_operator_s_contract(group: Any, defaults: dict[str, object]) -> None:
    """With nothing set at all."""
    settings = load(group)
    found = {name: getattr(settings, name.removeprefix("REPLOG_").lower()) for name in defaults}
    assert found == defaults


def test_the_dead_letter_topic_is_named_after_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it has a name of its own."""
    assert load(KafkaSettings).dead_letter_topic == "replication.task.events.dlq"
    monkeypatch.setenv("REPLOG_KAFKA_TOPIC", "other")
    assert load(KafkaSettings).dead_letter_topic == "other.dlq"
    monkeypatch.setenv("REPLOG_KAFKA_DLQ_TOPIC", "letters")
    assert load(KafkaSettings).dead_letter_topic == "letters"


@pytest.mark.parametrize("group", [KafkaSettings, CollectorSettings])
@pytest.mark.parametrize("topic", [None, "events"], ids=["the default", "named"])
def test_dead_letters_do_not_go_to_the_topic_of_events(
    monkeypatch: pytest.MonkeyPatch, group: Any, topic: str | None
) -> None:
    """They would be dead-lettered again, without end."""
    variables = {"REPLOG_KAFKA_TOPIC": topic} if topic else {}
    name = topic or "replication.task.events"
    line = line_of(group, monkeypatch, **variables, REPLOG_KAFKA_DLQ_TOPIC=name)
    assert f"REPLOG_KAFKA_TOPIC={name} REPLOG_KAFKA_DLQ_TOPIC={name}" in line
    assert "allowed" in line


def test_a_topic_whose_dead_letter_topic_could_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless that has a name of its own."""
    line = line_of(KafkaSettings, monkeypatch, REPLOG_KAFKA_TOPIC="t" * 246)
    assert line.startswith(f"REPLOG_KAFKA_TOPIC={'t' * 246} is wrong")
    assert "REPLOG_KAFKA_DLQ_TOPIC" in line
    monkeypatch.setenv("REPLOG_KAFKA_DLQ_TOPIC", "letters")
    assert load(KafkaSettings).dead_letter_topic == "letters"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a person set last is nearest."""
    (tmp_path / ".env").write_text(
        "REPLOG_REDIS_PREFIX=from-file\nREPLOG_TIME_ZONE=Asia/Shanghai\nREPLOG_UNKNOWN=1\nOTHER=1\n"
    )
    monkeypatch.setenv("REPLOG_REDIS_PREFIX", "from-environment")
    settings = load(ApiSettings)
    assert (settings.redis_prefix, settings.time_zone) == ("from-environment", "Asia/Shanghai")


def test_an_empty_value_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deployment files like to set them."""
    monkeypatch.setenv("REPLOG_API_PORT", "")
    monkeypatch.setenv("REPLOG_KAFKA_DLQ_TOPIC", "")
    assert load(ApiSettings).api_port == 8080
    assert load(KafkaSettings).dead_letter_topic == "replication.task.events.dlq"


def test_overrides_win_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command line says."""
    monkeypatch.setenv("REPLOG_API_PORT", "1")
    assert load(ApiSettings, api_port=2).api_port == 2


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("REPLOG_API_PORT", "http", "integer"),
        ("REPLOG_API_PORT", "65536", "65535"),
        ("REPLOG_API_PORT", "-1", "0"),
        ("REPLOG_API_WORKERS", "0", "1"),
        ("REPLOG_API_WORKERS", "1.5", "integer"),
        ("REPLOG_API_INSECURE", "perhaps", "boolean"),
        ("REPLOG_STALE_AFTER_S", "0", "1"),
        ("REPLOG_TIME_ZONE", "Mars/Olympus", "IANA time zone"),
        ("REPLOG_TIME_ZONE", "../../etc/passwd", "IANA time zone"),
        ("REPLOG_TIME_ZONE", "+08:00", "IANA time zone"),
        ("REPLOG_LOG_FORMAT", "xml", "'json' or 'console'"),
        ("REPLOG_LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("REPLOG_REDIS_URL", "http://127.0.0.1:6379", "redis://"),
        ("REPLOG_REDIS_URL", "127.0.0.1:6379", "redis://"),
        ("REPLOG_REDIS_PREFIX", "with space", "letters, digits"),
        ("REPLOG_REDIS_PREFIX", "{tag}", "letters, digits"),
        ("REPLOG_REDIS_PREFIX", "x" * 65, "1 to 64"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    """In one line."""
    line = line_of(ApiSettings, monkeypatch, **{variable: value})
    assert line.startswith(f"{variable}={value} is wrong")
    assert allowed in line.partition("; allowed: ")[2]
    assert "\n" not in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REPLOG_KAFKA_BOOTSTRAP_SERVERS", "host:"),
        ("REPLOG_KAFKA_BOOTSTRAP_SERVERS", "host:9092,other:port"),
        ("REPLOG_KAFKA_TOPIC", "a/b"),
        ("REPLOG_KAFKA_TOPIC", "x" * 250),
        ("REPLOG_KAFKA_DLQ_TOPIC", "a b"),
        ("REPLOG_KAFKA_OUTCOMES_TOPIC", "a/b"),
        ("REPLOG_KAFKA_OUTCOMES_TOPIC", "replication.task.events"),
        ("REPLOG_KAFKA_OUTCOMES_TOPIC", "replication.task.events.dlq"),
        ("REPLOG_KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("REPLOG_KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("REPLOG_COLLECTOR_PORT", "nine"),
    ],
)
def test_a_collector_s_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """As the query service's."""
    assert line_of(CollectorSettings, monkeypatch, **{variable: value}).startswith(f"{variable}={value} is wrong")


def test_a_secret_is_set_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell which of two is used."""
    both = {"REPLOG_NOTIFY_SECRET": "hidden", "REPLOG_NOTIFY_SECRET_FILE": "/run/secret"}
    line = line_of(NotifySettings, monkeypatch, **both)
    assert line == "REPLOG_NOTIFY_SECRET and REPLOG_NOTIFY_SECRET_FILE are both set; allowed: one of them"


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to find them one by one."""
    line = line_of(ApiSettings, monkeypatch, REPLOG_API_PORT="x", REPLOG_LOG_LEVEL="y")
    assert "REPLOG_API_PORT=x" in line
    assert "REPLOG_LOG_LEVEL=y" in line
    assert "\n" not in line


@pytest.mark.parametrize("value", ["a\nb", "a\r\nb"])
def test_a_value_of_several_lines_is_told_in_one(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Logs are read by lines."""
    assert len(line_of(ApiSettings, monkeypatch, REPLOG_REDIS_PREFIX=value).splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@redis.example:6379/0",
        f"user:{SECRET}@redis.example:6379",
        f"redis//:{SECRET}@redis.example",
        f"redis://user:{SECRET}@[::1",
        f"mysql://:{SECRET}@redis.example",
        f"http://redis.example/?password={SECRET}",
        f"redis+sentinel://user:{SECRET}@a:1,b:2",
        f"redis+sentinel://a:1,b:2/?sentinel_password={SECRET}",
        f"redis+cluster://user:{SECRET}@a:1,b:port",
    ],
)
def test_a_wrong_url_keeps_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Also where it is no URL."""
    line = line_of(ApiSettings, monkeypatch, REPLOG_REDIS_URL=url)
    assert line.startswith("REPLOG_REDIS_URL=")
    assert SECRET not in line


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("redis://h?ssl_cert_reqs=none", "ssl_cert_reqs with TLS"),
        ("unix:///run/redis.sock?ssl_ca_certs=/x", "ssl_ca_certs with TLS"),
        ("redis+sentinel://h/main?ssl_certfile=/x", "ssl_certfile with TLS"),
        ("redis+cluster://h?ssl_keyfile=/x", "ssl_keyfile with TLS"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs of none, optional, required"),
        ("rediss://h?ssl_cert_reqs=None", "ssl_cert_reqs of none, optional, required"),
        ("rediss://h?ssl_ca_certs=/no/such/ca.pem", "ssl_ca_certs=/no/such/ca.pem cannot be used"),
        ("rediss://h?ssl_ca_certs=/", "ssl_ca_certs=/ cannot be used"),
        (f"rediss://h?ssl_certfile={__file__}", "readable PEM files"),
        ("rediss://h?ssl_keyfile=/x", "ssl_keyfile beside ssl_certfile"),
        ("redis://h?sentinel_username=x", "sentinel_username with redis+sentinel://"),
        ("redis+cluster://h?sentinel_password=x", "sentinel_password with redis+sentinel://"),
        ("redis+cluster://h?db=0", "no db with a cluster"),
        ("redis+cluster://h/1", "database 0 of a cluster"),
        ("redis://h?db=1&db=2", "each option once"),
        ("redis://h?password=a&password=a", "each option once"),
        ("redis://h?db=", "options with a value"),
        ("redis://h?db=one", "a number as db"),
        ("redis://h?db=+1", "a number as db"),
        ("redis://u:p@h?password=x", "user and password once"),
        ("redis://u@h?username=x", "user and password once"),
        ("unix://run/redis.sock", "unix:///path"),
        ("unix:///", "unix:///path"),
        ("redis://a,b", "redis://"),
        ("redis://a:1,b:2", "redis://"),
        ("redis://h:0", "redis://"),
        ("redis://h/0#x", "redis://"),
        ("redis://h/1_0", "redis://"),
        ("redis://h?timeout=1", "redis://"),
        ("redis://:p,w@h:port", "redis://"),
    ],
)
@pytest.mark.parametrize("group", [ApiSettings, CollectorSettings])
def test_what_means_nothing_in_a_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, group: Any, url: str, allowed: str
) -> None:
    """And not passed to the driver, which would fail with each connection; the line says what is allowed."""
    line = line_of(group, monkeypatch, REPLOG_REDIS_URL=url)
    assert line.startswith("REPLOG_REDIS_URL=")
    assert allowed in line.partition("; allowed: ")[2]
    assert "\n" not in line


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:port/0",
        "redis://127.0.0.1:99999/0",
        "redis://[::1/0",
        "redis://h?socket_timeout=x",
        "redis://h:1/0?sentinel_password=x",
        "redis+cluster://",
        "redis+cluster://a:1,",
        "redis+cluster://a:1,b:port",
        "redis+cluster://a:0",
        "redis+cluster://a:1/1",
        "redis+cluster://a:1?db=1",
        "redis+cluster://a:1?sentinel_password=x",
        "redis+sentinel://a:1",
        "redis+sentinel://a:1/",
        "redis+sentinel://a:1/main/x",
        "redis+sentinel://a:1/main/-1",
        "redis+sentinel://a:1,b:99999/main/0",
        "redis+sentinel://a:1/main/0?socket_timeout=1",
        "redis+other://a:1",
        "unix+cluster:///run/redis.sock",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Here, and not by the driver's own words later."""
    assert line_of(ApiSettings, monkeypatch, REPLOG_REDIS_URL=url).startswith("REPLOG_REDIS_URL=")


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:1/0",
        "rediss://h",
        "unix:///run/redis.sock?db=1",
        "redis://:secret@h:1/0?db=2",
        "redis+sentinel://a:1,b:2/main/0",
        "redis+sentinel://user:secret@a,[::1]:2/main?sentinel_password=other",
        f"rediss+sentinel://a/main/3?ssl_ca_certs={certifi.where()}",
        f"rediss://h/0?ssl_ca_certs={certifi.where()}&ssl_cert_reqs=optional",
        "redis://h/0?username=user&password=p%40ss",
        "redis://:p,w@h:1",
        "redis://",
        "redis://:6379",
        "redis+cluster://a:1,b:2,c",
        "redis+cluster://user:secret@a:1,[::1]:2/0",
        "rediss+cluster://a:1?ssl_cert_reqs=none",
    ],
)
def test_every_kind_of_url_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """One server, Sentinels, a cluster."""
    monkeypatch.setenv("REPLOG_REDIS_URL", url)
    assert load(ApiSettings).redis_url == url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        (f"redis://user:{SECRET}@h:6379/0", "redis://user:***@h:6379/0"),
        (f"rediss://:{SECRET}@h/1?x=y", "rediss://:***@h/1?x=y"),
        (f"redis://user:{SECRET}@{SECRET}@h", "redis://user:***@h"),
        (f"redis+sentinel://:{SECRET}@a:1,b:2/main/0", "redis+sentinel://:***@a:1,b:2/main/0"),
        (f"redis+cluster://user:{SECRET}@a:1,b:2", "redis+cluster://user:***@a:1,b:2"),
        (
            f"redis+sentinel://a:1/main?sentinel_username=u&sentinel_password={SECRET}&db=1",
            "redis+sentinel://a:1/main?sentinel_username=u&sentinel_password=***&db=1",
        ),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, masked: str) -> None:
    """Everything else stays readable."""
    assert mask_url(url) == masked


@pytest.mark.parametrize("url", [f"redis://h?password={SECRET}", f"unix://user:{SECRET}@/run/redis.sock"])
def test_no_password_is_shown_wherever_the_driver_takes_one(url: str) -> None:
    """It reads them from the query too."""
    assert SECRET not in mask_url(url)


#: What passwords have that means something in a URL.
marks = st.sampled_from(["", "://", "@", "/", "?", "#", "&", "=", ":", ",", ";", "%40", "%", "[", "]", " ", "\n"])
passwords = st.lists(marks, min_size=1, max_size=4).map(lambda found: SECRET + SECRET.join([*found, ""]) + found[-1])
encoded = passwords.map(lambda password: quote(password, safe=""))
#: A URL with a password at each place where one may stand.
places = st.sampled_from(
    [
        "{scheme}://user:{password}@h:6379/0",
        "{scheme}://:{password}@h",
        "{scheme}://user:{password}@a:1,[::1]:2/main/0?db=1",
        "{scheme}://h:6379/0?password={password}",
        "{scheme}://h:6379/0?db=1&password={password}&db=2",
        "{scheme}://h/0?username=u&passwd={password}",
        "{scheme}://a:1,b/main/0?sentinel_username=u&sentinel_password={password}",
        "{scheme}://user:{password}@a:1,b/main?sentinel_password={password}",
        "user:{password}@h:6379",
        "{scheme}:/user:{password}@h",
    ]
)
schemes = st.sampled_from([*redis_url.SCHEMES, "http", "mysql", ""])


def told(call: Callable[[], Any]) -> str:
    """What a call answers with, or refuses with."""
    try:
        return repr(call())
    except (ValueError, SettingsError) as error:
        return str(error)


@given(places, schemes, passwords | encoded)
def test_no_secret_is_shown_whatever_is_in_it(place: str, scheme: str, password: str) -> None:
    """By what masks a URL, by its parts, and by the message about a wrong one."""
    url = place.format(scheme=scheme, password=password)
    assert SECRET not in mask_url(url)
    assert SECRET not in told(lambda: redis_url.parse(url))
    for field in ("redis_prefix", "time_zone", "log_level", "api_cors_origins"):
        assert SECRET not in told(partial(load, ApiSettings, **{field: url}))
    with contextlib.suppress(SettingsError):
        load(ApiSettings, redis_url=url)
        return
    assert SECRET not in told(lambda: load(ApiSettings, redis_url=url))


@pytest.mark.parametrize("url", [f"redis://user:{SECRET}", f"redis://:{SECRET}/0", f"redis://u:{SECRET}?db=1"])
def test_a_password_whose_host_was_forgotten_is_not_shown(url: str) -> None:
    """It stands where the port does."""
    assert SECRET not in mask_url(url)


def test_a_password_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be asked for by name."""
    monkeypatch.setenv("REPLOG_KAFKA_SASL_PASSWORD", SECRET)
    settings = load(CollectorSettings)
    assert SECRET not in repr(settings)
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == SECRET


def test_a_process_with_a_wrong_setting_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its one line stands on stderr."""
    monkeypatch.setenv("REPLOG_API_PORT", "x")
    with pytest.raises(SystemExit) as exited:
        load_or_exit(ApiSettings)
    assert exited.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("REPLOG_API_PORT=x is wrong")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("group", [CollectorSettings, ApiSettings])
def test_help_names_every_setting_once(group: Any) -> None:
    """With its default, and no secret."""
    lines = describe(group).splitlines()
    assert len(lines) == len(group.model_fields)
    assert all(line.strip().startswith("REPLOG_") and line.endswith("]") for line in lines)


def test_settings_do_not_change() -> None:
    """They are built once."""
    with pytest.raises(ValueError, match="frozen"):
        load(ApiSettings).__setattr__("api_port", 1)
