"""User and password of Redis that may be renewed while the process runs: in the file of its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import parse_url
from redis.credentials import CredentialProvider

from replog import redis_url
from replog.settings import secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from replog.redis_url import RedisUrl
    from replog.secret_files import Reloaded
    from replog.settings import StoreSettings

    #: User and password; of either there may be none.
    _User: TypeAlias = tuple[str | None, str | None]


class CurrentUrl:
    """The URL of the store, whose users and passwords may change while the process runs, and nothing else of it."""

    def __init__(self, settings: StoreSettings) -> None:
        #: The URL as it was at the start.
        self.first = redis_url.parse(settings.redis_url)
        self._url: Reloaded[RedisUrl] | None = None
        if settings.redis_url_file:
            self._url = secret(settings, "redis_url", self._parse)

    @property
    def secrets(self) -> Sequence[str]:
        """All passwords that were used."""
        return self.first.secrets if self._url is None else (*self.first.secrets, *self._url.value.secrets)

    def server_options(self) -> dict[str, Any]:
        """Options of connections to servers that hold data: where one is, database, TLS, and the user of the moment."""
        return self._with_credentials(dict(parse_url(self.first.server)), _of_server)

    def sentinel_options(self) -> dict[str, Any]:
        """Options of connections to Sentinels: the same TLS as for the servers, and their own user of the moment."""
        options = parse_url(self.first.server)
        encrypted = {name: value for name, value in options.items() if name.startswith("ssl_")}
        if "connection_class" in options:
            encrypted["ssl"] = True
        username, password = _of_sentinels(self.first)
        return self._with_credentials({"username": username, "password": password, **encrypted}, _of_sentinels)

    def _with_credentials(self, options: dict[str, Any], find: Callable[[RedisUrl], _User]) -> dict[str, Any]:
        url = self._url
        if url is None:
            return options
        return {**_without_user(options), "credential_provider": _Credentials(lambda: find(url.value))}

    def _parse(self, text: str) -> RedisUrl:
        url = redis_url.parse(text)
        if _without_credentials(url) != _without_credentials(self.first):
            raise ValueError("the same URL with another user or password; to change more, restart")
        return url


class _Credentials(CredentialProvider):
    """Gives each new connection the user and password of the moment."""

    def __init__(self, find: Callable[[], _User]) -> None:
        self._find = find

    async def get_credentials_async(self) -> Any:
        """The words of AUTH; none if there is no user."""
        username, password = self._find()
        if username:
            return username, password or ""
        return (password,) if password else ()


def _of_server(url: RedisUrl) -> _User:
    options = parse_url(url.server)
    return options.get("username"), options.get("password")


def _of_sentinels(url: RedisUrl) -> _User:
    return url.sentinel_username, url.sentinel_password


def _without_user(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in {"username", "password"}}


def _without_credentials(url: RedisUrl) -> tuple[Any, ...]:
    return url.topology, url.addresses, url.name, _without_user(parse_url(url.server))
