"""A user of Redis with documented rights, some of which a test takes away."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from replog.settings import StoreSettings
from replog.store.client import rights
from replog.store.client.connection import Connection
from tests.support.services import redis_acl
from tests.support.services.redis import connected

if TYPE_CHECKING:
    from tests.support.services.redis import RedisServer

PASSWORD = "only-of-this-test"  # noqa: S105 - of a user that lives as long as its test
TIMEOUT_S = 30.0


class User:
    """A user of its own with the rights of one of the documented ones, some of which may be taken away."""

    def __init__(self, server: RedisServer, prefix: str, like: str) -> None:
        self._server = server
        self._name = f"user-{uuid.uuid4().hex}"
        documented = redis_acl.documented_rules(like)
        self._own = {">PASSWORD": f">{PASSWORD}", "~replog:*": f"~{prefix}:*"}
        self.rules = [self._own.get(rule, rule) for rule in documented]
        self.url = server.url.replace("://", f"://{self._name}:{PASSWORD}@")
        self.prefix = prefix
        self._taken: set[str] = set()
        self._apply()

    @property
    def url_of_administrator(self) -> str:
        return self._server.url

    def take(self, rule: str) -> None:
        """Take one right away."""
        self._taken.add(rule)
        self._apply()

    def give(self, rule: str) -> None:
        """Give it back, or one that was never there."""
        self._taken.discard(rule)
        self._apply(rule)

    def remove(self) -> None:
        with connected(self._server.url) as client:
            client.acl_deluser(self._name)

    def _apply(self, *more: str) -> None:
        # All of them: Redis 6.2 cannot take a subcommand away.
        rules = [rule for rule in self.rules if rule not in self._taken]
        with connected(self._server.url) as client:
            redis_acl.make_user(client, self._name, [*rules, *more])

    def connected(self, needed: tuple[rights.Right, ...] = rights.COLLECTOR) -> Connection:
        return Connection(
            StoreSettings(redis_url=self.url, redis_prefix=self.prefix), timeout_s=TIMEOUT_S, rights=needed
        )
