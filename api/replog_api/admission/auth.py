"""Authentication of clients by token, and authorization of what they read.

The service knows a token only by its SHA-256. A token may be limited to a prefix of task keys. To such a token, a
record of no task under its prefix looks like one that does not exist.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

from replog_api.http import messages
from replog_api.http.errors import FORBIDDEN, UNAUTHENTICATED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.read.record_queries import RecordQueries
    from replog.tokens import ApiToken

_CHALLENGE = 'Bearer realm="replog"'


def client_of(name: str) -> str:
    """The client, for limits, of requests whose token has this name."""
    return f"token {name}"


class Tokens:
    """The tokens of this service. Without any, everybody may read everything."""

    def __init__(self, tokens: Sequence[ApiToken]) -> None:
        self._tokens = tokens

    def replace(self, tokens: Sequence[ApiToken]) -> set[str]:
        """Accept ``tokens`` from now on, and no others; returns the names of those that are gone or changed."""
        gone = {token.name for token in self._tokens if token not in tokens}
        self._tokens = tokens
        return gone

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def holder(self, authorization: str) -> ApiToken:
        """The token in an ``Authorization`` header (Latin-1). Takes the same time for every token, known or not.

        Raises:
            RefusedError: there is no token, or it is unknown.
        """
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise RefusedError(UNAUTHENTICATED, messages.NO_TOKEN, {"WWW-Authenticate": _CHALLENGE})
        digest = sha256(secret.strip().encode("latin-1")).digest()
        found = None
        for token in self._tokens:
            if compare_digest(token.sha256, digest):
                found = token
        if found is None:
            headers = {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'}
            raise RefusedError(UNAUTHENTICATED, messages.WRONG_TOKEN, headers)
        return found


class Rights:
    """Checks of what a request may read. ``prefix`` is that of its token; empty allows everything."""

    def __init__(self, queries: RecordQueries) -> None:
        self._queries = queries

    @staticmethod
    def check_task(prefix: str, task_key: str) -> None:
        """Raises RefusedError where the task may not be read."""
        if not task_key.startswith(prefix):
            raise RefusedError(FORBIDDEN, messages.forbidden("key", task_key))

    @staticmethod
    def readable(prefix: str, wanted: str) -> str:
        """The common prefix of the tasks that begin with ``wanted`` and may be read.

        Raises:
            RefusedError: there can be none.
        """
        if prefix.startswith(wanted):
            return prefix
        if not wanted.startswith(prefix):
            raise RefusedError(FORBIDDEN, messages.forbidden("prefix", wanted))
        return wanted

    async def check_record(self, prefix: str, record_id: str) -> None:
        """Raises RefusedError where the record may not be read; to a limited token also where it is unknown."""
        if not await self.may_read_record(prefix, record_id):
            raise RefusedError(FORBIDDEN, messages.forbidden("recordId", record_id))

    async def may_read_record(self, prefix: str, record_id: str) -> bool:
        """Whether one of the record's tasks may be read."""
        if not prefix:
            return True
        return any(key.startswith(prefix) for key in await self._queries.task_keys_of(record_id))
