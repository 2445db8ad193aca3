"""Settings of every process: typed, read from the environment or a ``.env`` file, built once in ``main``.

Names and defaults follow docs/operations.md. Each process combines the groups that it needs. A wrong value raises
:class:`~replog.errors.SettingsError` with a text of one line.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from replog import redis_url
from replog.environment import is_of_a_service, notices, report
from replog.errors import SettingsError
from replog.secret_files import Reloaded, read_secret
from replog.tokens import ApiToken
from replog.tokens import parse as parse_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from replog.environment import Notice

ENV_PREFIX = "REPLOG_"

_LAST_PORT = 65535
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Pattern of values that may contain a password.
_MAY_HOLD_SECRET = re.compile(r"@|://|pass|secret|token", re.IGNORECASE)


def _check_redis_url(url: str) -> str:
    redis_url.check_files(redis_url.parse(url))
    return url


def _check_prefix(prefix: str) -> str:
    # A brace would change the hash tag of Redis Cluster. A space breaks shell commands.
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", prefix):
        raise ValueError("1 to 64 letters, digits or any of _ . : -")
    return prefix


def _check_topic(topic: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,249}", topic):
        raise ValueError("a Kafka topic name: 1 to 249 letters, digits or any of . _ -")
    return topic


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("an IANA time zone name such as UTC or Asia/Shanghai") from None
    return name


def _check_servers(servers: str) -> str:
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= _LAST_PORT:
            raise ValueError("host:port, or several of them separated by commas")
    return servers


def _check_tokens(secret: SecretStr) -> SecretStr:
    parse_tokens(secret.get_secret_value())
    return secret


def _check_http_url(url: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(url)
        # A port that is no number raises when it is asked for.
        whole = parts.port is None or parts.port > 0
        if whole and parts.scheme in {"http", "https"} and parts.hostname and not parts.query and not parts.fragment:
            return url.rstrip("/")
    raise ValueError("http:// or https:// and a host, with a port and a path if needed")


def _check_header_value(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("printable ASCII characters without spaces")
    return secret


def _check_origins(origins: str) -> str:
    for origin in origins.split(","):
        if origin.strip() != "*" and not re.fullmatch(r"https?://[^/\s,@]+", origin.strip()):
            raise ValueError("origins such as https://dashboard.example, comma-separated, or *")
    return origins


#: Ending of the name of the setting that names a secret's file.
_FILE = "_file"


def _secret_file() -> Any:
    """The setting of the file that holds a secret, beside the setting of the secret itself."""
    return Field(default=None, description="file that holds it; it is read again when it changes")


Topic = Annotated[str, AfterValidator(_check_topic)]
Port = Annotated[int, Field(ge=0, le=_LAST_PORT)]


class _Group(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        # A process needs few of the groups, and building one takes time.
        defer_build=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes all by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources of settings: the environment, then the file, each without variables of Kubernetes Services."""
        sources: list[Any] = [env_settings, dotenv_settings]
        for source in sources:
            source.env_vars = {
                name: value for name, value in source.env_vars.items() if not is_of_a_service(name, value or "")
            }
        return (init_settings, *sources)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Put the text of each secret's file in the place of the secret."""
        files = {name: values[name + _FILE] for name in secrets_of(cls) if values.get(name + _FILE) is not None}
        twice = [name for name in files if values.get(name) is not None]
        if twice:
            raise ValueError(
                "; ".join(
                    f"{variable(name)} and {variable(name + _FILE)} are both set; allowed: one of them"
                    for name in twice
                )
            )
        return values | {name: _read_secret_file(name, path) for name, path in files.items()}


def _read_secret_file(name: str, path: str | Path) -> str:
    try:
        return read_secret(Path(path))
    except ValueError as error:
        raise ValueError(
            f"{variable(name + _FILE)}={path} {error}; allowed: a file that this process can read and that holds "
            f"what {variable(name)} would"
        ) from None


class LogSettings(_Group):
    """Settings of a process's log."""

    log_format: Literal["json", "console"] | None = Field(
        default=None, description="json, or console; unset: console on a terminal, json elsewhere"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="least level logged")


class KafkaSettings(_Group):
    """Connection to Kafka, and the topics."""

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_check_servers)] = Field(
        default="127.0.0.1:9092", description="host:port, comma-separated"
    )
    kafka_topic: Topic = Field(default="replication.task.events", description="the topic of events")
    kafka_dlq_topic: Topic | None = Field(default=None, description="dead letters; unset: the topic's name + .dlq")
    kafka_outcomes_topic: Topic | None = Field(
        default=None, description="each record's end is published here as a CloudEvent; unset: off"
    )
    kafka_group_id: str = Field(default="replog-collector", min_length=1, description="the collectors' consumer group")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how to connect"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        default="PLAIN", description="used with SASL_PLAINTEXT and SASL_SSL"
    )
    kafka_sasl_username: str | None = Field(default=None, description="SASL user")
    kafka_sasl_password: SecretStr | None = Field(default=None, description="SASL password")
    kafka_sasl_password_file: Path | None = _secret_file()
    kafka_sasl_oauthbearer_token_endpoint_url: Annotated[str, AfterValidator(_check_http_url)] | None = Field(
        default=None, description="where OAUTHBEARER gets its tokens, with client credentials (OAuth 2.0)"
    )
    kafka_sasl_oauthbearer_client_id: str | None = Field(default=None, description="the client at that endpoint")
    kafka_sasl_oauthbearer_client_secret: SecretStr | None = Field(default=None, description="the client's secret")
    kafka_sasl_oauthbearer_client_secret_file: Path | None = _secret_file()
    kafka_sasl_oauthbearer_scope: str | None = Field(default=None, description="scope to ask for; unset: none")
    kafka_sasl_oauthbearer_token: SecretStr | None = Field(
        default=None, description="the token itself, if no endpoint is set; best in a file that somebody renews"
    )
    kafka_sasl_oauthbearer_token_file: Path | None = _secret_file()
    kafka_ssl_cafile: str | None = Field(default=None, description="PEM file of the broker's authority")
    kafka_ssl_certfile: str | None = Field(default=None, description="PEM file of the client's certificate")
    kafka_ssl_keyfile: str | None = Field(default=None, description="PEM file of the client's key")
    kafka_ssl_key_password: SecretStr | None = Field(default=None, description="password of an encrypted key")
    kafka_ssl_key_password_file: Path | None = _secret_file()
    kafka_client_id: str = Field(
        default="replog-publisher", min_length=1, description="name of this client in the brokers' logs and quotas"
    )
    kafka_client_rack: str | None = Field(
        default=None, min_length=1, description="rack of this client, to read from a replica in it; unset: none"
    )

    @property
    def dead_letter_topic(self) -> str:
        """Name of the dead-letter topic."""
        return self.kafka_dlq_topic or f"{self.kafka_topic}.dlq"

    @model_validator(mode="after")
    def _check_dead_letter_topic(self) -> Self:
        # A dead letter on the topic of events would be read, be invalid and be dead-lettered again, in an endless loop.
        if self.dead_letter_topic == self.kafka_topic:
            raise ValueError(
                f"{variable('kafka_topic')}={self.kafka_topic} {variable('kafka_dlq_topic')}={self.kafka_dlq_topic} "
                "are wrong: the topic of events and that of dead letters; allowed: two different topics"
            )
        try:
            _check_topic(self.dead_letter_topic)
        except ValueError as error:
            raise ValueError(
                f"{variable('kafka_topic')}={self.kafka_topic} is wrong: its dead letters would go to "
                f"{self.dead_letter_topic}; allowed: {error}, or another name in {variable('kafka_dlq_topic')}"
            ) from None
        return self

    @model_validator(mode="after")
    def _check_outcomes_topic(self) -> Self:
        # An outcome on the topic of events would be an invalid event. Among dead letters nobody would find it.
        if self.kafka_outcomes_topic in {self.kafka_topic, self.dead_letter_topic}:
            raise ValueError(
                f"{variable('kafka_outcomes_topic')}={self.kafka_outcomes_topic} is wrong: the topic of events or of "
                "dead letters; allowed: a topic of its own"
            )
        return self


class StoreSettings(_Group):
    """Connection to the store."""

    redis_url: Annotated[str, AfterValidator(_check_redis_url)] = Field(
        default="redis://127.0.0.1:6379/0",
        description="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL",
    )
    redis_url_file: Path | None = _secret_file()
    redis_prefix: Annotated[str, AfterValidator(_check_prefix)] = Field(
        default="replog", description="first part of every key"
    )


class StaleSettings(_Group):
    """Definition of stale, for answers and for the collectors' count."""

    stale_after_s: Annotated[int, Field(ge=1)] = Field(
        default=900, description="seconds without an event after which something RUNNING is stale"
    )


class TracingSettings(_Group):
    """The receiver of traces, and the share of them that is recorded."""

    otlp_endpoint: Annotated[str, AfterValidator(_check_http_url)] | None = Field(
        default=None, description="address of an OTLP/HTTP receiver of traces, without /v1/traces; unset: no tracing"
    )
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="share of the traces that begin here and are recorded, 0 to 1"
    )


class CollectorSettings(KafkaSettings, StoreSettings, StaleSettings, TracingSettings, LogSettings):
    """Settings of ``replog-collector``."""

    kafka_client_id: str = Field(
        default="replog-collector", min_length=1, description="name of this client in the brokers' logs and quotas"
    )
    retention_days: Annotated[float, Field(gt=0)] = Field(
        default=30, description="days that a record is kept after its last event"
    )
    retention_failed_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="the same for FAILED records; unset: as for the others"
    )
    max_ahead_s: Annotated[float, Field(ge=0)] = Field(
        default=86400,
        description="seconds that an event may be dated ahead of the collector's clock; later ones are invalid; 0: off",
    )
    kafka_group_instance_id: str | None = Field(
        default=None, min_length=1, description="static membership: a name of its own for each collector; unset: none"
    )
    dead_letter_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="share of the last 1000 events that may be dead-lettered before the collector stops"
    )
    dead_letters_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=100_000, description="dead letters in a minute beyond which the collector stops"
    )
    max_batch_bytes: Annotated[int, Field(ge=1)] = Field(
        default=268_435_456,
        description="bytes of a Kafka batch when decompressed; a larger one is dead-lettered unread",
    )
    watchdog_s: Annotated[float, Field(ge=30)] = Field(
        default=60, description="seconds without progress after which the collector counts as hanging and ends itself"
    )
    collector_host: str = Field(default="127.0.0.1", description="address for health checks and metrics")
    collector_port: Port = Field(default=9464, description="port for health checks and metrics; 0 picks a free one")


class ApiSettings(StoreSettings, StaleSettings, TracingSettings, LogSettings):
    """Settings of ``replog-api``."""

    api_host: str = Field(default="127.0.0.1", description="address to listen on")
    api_port: Port = Field(default=8080, description="port to listen on")
    api_workers: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="processes that share the port")
    api_drain_s: Annotated[float, Field(ge=0)] = Field(
        default=5, description="seconds after SIGTERM in which /readyz answers 503 and requests are still accepted"
    )
    api_insecure: bool = Field(default=False, description="1: listen beyond loopback without authentication")
    api_tokens: Annotated[SecretStr, AfterValidator(_check_tokens)] | None = Field(
        default=None,
        description="accepted tokens: name:sha256hex[:taskKeyPrefix], comma-separated; unset: no authentication",
    )
    api_tokens_file: Path | None = Field(
        default=None, description="file that holds them, one a line; it is read again when it changes"
    )
    api_access_log: bool = Field(default=False, description="1: log a line for each request")
    api_requests_per_s: Annotated[float, Field(ge=0)] = Field(
        default=1000, description="requests a second for each token, or else address; 0: no limit"
    )
    api_page: bool = Field(default=True, description="0: without the web page and the API explorer")
    api_cors_origins: Annotated[str, AfterValidator(_check_origins)] | None = Field(
        default=None, description="origins of browser pages that may send requests, comma-separated, or *"
    )
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] = Field(
        default="UTC", description="zone of the times in answers (IANA name)"
    )

    @property
    def tokens(self) -> tuple[ApiToken, ...]:
        """The accepted tokens; empty if the service requires none."""
        return parse_tokens(self.api_tokens.get_secret_value()) if self.api_tokens else ()

    @property
    def cors_origins(self) -> list[str]:
        """Origins of browser pages that may send requests."""
        return [origin.strip() for origin in self.api_cors_origins.split(",")] if self.api_cors_origins else []


class NotifySettings(KafkaSettings, LogSettings):
    """Settings of ``replog notify``."""

    kafka_client_id: str = Field(
        default="replog-notify", min_length=1, description="name of this client in the brokers' logs and quotas"
    )
    notify_secret: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="secret that posts are signed with, as whsec_BASE64 or text; unset: none",
    )
    notify_secret_file: Path | None = _secret_file()


class ClientSettings(_Group):
    """Settings of the commands that ask the query service."""

    api_url: Annotated[str, AfterValidator(_check_http_url)] = Field(
        default="http://127.0.0.1:8080", description="address of the query service that the commands ask"
    )
    api_token: Annotated[SecretStr, AfterValidator(_check_header_value)] | None = Field(
        default=None, description="token for it; unset: none is sent"
    )
    api_token_file: Path | None = _secret_file()


SettingsT = TypeVar("SettingsT", bound=_Group)
T = TypeVar("T")


def load(group: type[SettingsT], **overrides: Any) -> SettingsT:
    """Build ``group`` from the environment; ``overrides`` take precedence.

    Raises:
        SettingsError: a value is wrong; the message is one line that names every wrong variable.
    """
    # The file of a secret gives way to an override of the secret, as its variable does.
    files = {name + _FILE: None for name in secrets_of(group) if name in overrides}
    try:
        return group(**files | overrides)
    except ValidationError as error:
        given = {**_variables(), **{variable(name): value for name, value in overrides.items()}}
        raise SettingsError("; ".join(_explain(group, problem, given) for problem in error.errors())) from None


def secrets_of(group: type[_Group]) -> list[str]:
    """The settings of ``group`` that a file may hold: those beside which there is one with the ending ``_file``."""
    return [name for name in group.model_fields if name + _FILE in group.model_fields]


def secret(settings: _Group, name: str, parse: Callable[[str], T]) -> Reloaded[T] | None:
    """The present value of the secret ``name``, parsed by ``parse``; None if the secret is not set.

    Raises:
        SettingsError: ``parse`` raises ValueError, or the file cannot be read any more.
    """
    file, given = getattr(settings, name + _FILE), getattr(settings, name)
    try:
        if file is not None:
            return Reloaded([file], lambda: parse(read_secret(file)))
        if given is None:
            return None
        text = given.get_secret_value() if isinstance(given, SecretStr) else str(given)
        return Reloaded((), lambda: parse(text))
    except ValueError as error:
        wrong = f"{variable(name)}={redis_url.MASK} is wrong" if file is None else f"{variable(name + _FILE)}={file}"
        raise SettingsError(f"{wrong}: {type(settings).model_fields[name].description}; allowed: {error}") from None


def load_or_exit(group: type[SettingsT], **overrides: Any) -> SettingsT:
    """Do as :func:`load`, for a process's ``main``: for a wrong value, print one line and exit with code 2."""
    try:
        return load(group, **overrides)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is not configured yet
        raise SystemExit(2) from None


def report_environment() -> None:
    """Log the :func:`environment_notices`."""
    report(environment_notices())


def environment_notices() -> list[Notice]:
    """Variables in the environment or the ``.env`` file that have this project's prefix and are no settings."""
    return list(notices(_variables(), {variable(name) for group in _groups(_Group) for name in group.model_fields}))


def _variables() -> dict[str, str]:
    """Variables of the environment or the ``.env`` file that have this project's prefix."""
    found = {**DotEnvSettingsSource(_Group).env_vars, **EnvSettingsSource(_Group).env_vars}
    return {name.upper(): value or "" for name, value in found.items() if name.upper().startswith(ENV_PREFIX)}


def _groups(group: type[_Group]) -> Iterator[type[_Group]]:
    yield group
    for narrower in group.__subclasses__():
        yield from _groups(narrower)


def variable(name: str) -> str:
    """The environment variable of the field ``name``."""
    return f"{ENV_PREFIX}{name.upper()}"


def read_arguments(program: str, purpose: str, group: type[_Group]) -> None:
    """Read the command line of a service: nothing, or ``--help`` (which lists ``group``) or ``--version``, and end."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=f"{purpose} Takes no arguments.",
        epilog="settings (environment variables, or a .env file):\n" + describe(group),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{program} {version('replog')}")
    parser.parse_args()


def describe(group: type[_Group]) -> str:
    """Lines of a ``--help`` text that list the settings of ``group``."""
    lines = []
    for name, field in group.model_fields.items():
        default = "none" if field.default is None else str(field.default)
        lines.append(f"  {variable(name):38} {field.description} [{default}]")
    return "\n".join(lines)


def mask_url(url: str) -> str:
    """``url`` with its passwords masked, for logs and messages. The text need not be a valid URL."""
    return redis_url.masked(url)


def _explain(group: type[_Group], problem: Any, given: Mapping[str, Any]) -> str:
    allowed = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not problem["loc"]:
        # The problem is about several settings, or a file. The check names them.
        return str(allowed)
    name = str(problem["loc"][0])
    value = _CONTROL.sub("?", _shown(group, name, str(problem["input"])))
    wrong = f"{variable(name)}={value} is wrong"
    if file := given.get(variable(name + _FILE)):
        wrong = f"{variable(name + _FILE)}={file} holds a wrong value, {value}"
    return f"{wrong}: {group.model_fields[name].description}; allowed: {allowed}"


def _shown(group: type[_Group], name: str, value: str) -> str:
    if name.endswith("_url"):
        return mask_url(value)
    return redis_url.MASK if name in secrets_of(group) else mask_url(value) if _MAY_HOLD_SECRET.search(value) else value
