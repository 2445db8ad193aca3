"""Users with exactly the rights that docs/operations.md gives operators, for tests that are to run as those.

`REPLOG_TEST_REDIS_ACL=documented` makes the tests' collectors and query services such users; tests that look into Redis
themselves stay its administrator.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from replog.store.client.rights import IN_CLUSTER
from tests.support.services import ServiceUnavailableError

if TYPE_CHECKING:
    from redis import Redis

#: The variable that asks for them, and what it may say.
VARIABLE, DOCUMENTED = "REPLOG_TEST_REDIS_ACL", "documented"
COLLECTOR, QUERY_SERVICE, OPERATOR = USERS = ("replog-collector", "replog-api", "replog-operator")
PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
#: What all prefixes of tests begin with.
PREFIX = "replog-test"
_PASSWORD = "of-the-tests"  # noqa: S105 - of users that live as long as a test's Redis


def wanted() -> bool:
    """Whether the tests' processes are to have the documented rights only.

    Raises:
        ServiceUnavailableError: the variable is set to something else.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen not in {None, "", DOCUMENTED}:
        raise ServiceUnavailableError(f"{VARIABLE}={chosen} is wrong; allowed: {DOCUMENTED}")
    return chosen == DOCUMENTED


def documented_rules(user: str) -> list[str]:
    """The rules for ``user``, as the documentation has them."""
    text = PAGE.read_text(encoding="utf-8")
    (command,) = re.findall(rf"^redis-cli ACL SETUSER {user} ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return shlex.split(command.replace("\\\n", " "))


def rules_of(user: str) -> list[str]:
    """The same for the tests' prefixes and password, in a cluster too."""
    rules = [rule.replace("PASSWORD", _PASSWORD) for rule in documented_rules(user)]
    assert "~replog:*" in rules
    keys = [f"~{PREFIX}*" if rule == "~replog:*" else rule for rule in rules]
    return [*keys, *(right.rule for right in IN_CLUSTER)]


def make_user(client: Redis, name: str, rules: list[str]) -> None:
    """Make or change a user on one server."""
    client.execute_command("ACL", "SETUSER", name, *rules)


def server_options() -> tuple[str, ...]:
    """What a server has to be started with, to know these users also after it was ended."""
    return tuple(word for user in USERS for word in ("--user", user, *rules_of(user))) if wanted() else ()


def url_as(url: str, user: str) -> str:
    """``url`` with the credentials of ``user``; another that is there gives way."""
    scheme, separator, rest = url_as_administrator(url).partition("://")
    return f"{scheme}{separator}{user}:{_PASSWORD}@{rest}"


def url_as_administrator(url: str) -> str:
    """``url`` without the credentials of :data:`USERS`."""
    return re.sub(rf"(?<=://)(?:{'|'.join(USERS)}):{_PASSWORD}@", "", url)


def url_as_query_service(url: str) -> str:
    """``url`` as the query service has it, where the tests' processes have the documented rights only."""
    return url_as(url, QUERY_SERVICE) if url_as_administrator(url) != url else url


def url_as_operator(url: str) -> str:
    """The same as the operator's commands have it."""
    return url_as(url, OPERATOR) if url_as_administrator(url) != url else url
