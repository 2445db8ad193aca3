"""Who asks, and what they may read.

A token is known by its SHA-256 alone. Where it is limited to a prefix of task keys, a record that belongs to no task
under that prefix is for it as one that does not exist.
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


class Tokens:
    """The tokens of this service; without any, everybody may read everything."""

    def __init__(self, tokens: Sequence[ApiToken]) -> None:
        self._tokens = tokens

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def holder(self, authorization: str) -> ApiToken:
        """Whose the ``Authorization`` header (Latin-1) is. Takes as long whichever token it is, and if it is none.

        Raises:
            RefusedError: nobody's.
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
    """What a request may read; ``prefix`` is that of its token, empty for everything."""

    def __init__(self, queries: RecordQueries) -> None:
        self._queries = queries

    @staticmethod
    def check_task(prefix: str, task_key: str) -> None:
        """Raises RefusedError where the task is none of those that may be read."""
        if not task_key.startswith(prefix):
            raise RefusedError(FORBIDDEN, messages.forbidden("key", task_key))

    @staticmethod
    def readable(prefix: str, wanted: str) -> str:
        """What the keys begin with of those tasks that may be read and begin with ``wanted``.

        Raises:
            RefusedError: there can be none.
        """
        if prefix.startswith(wanted):
            return prefix
        if not wanted.startswith(prefix):
            raise RefusedError(FORBIDDEN, messages.forbidden("prefix", wanted))
        return wanted

    async def check_record(self, prefix: str, record_id: str) -> None:
        """Raises RefusedError where the record may not be read, or is unknown to a token that is limited."""
        if not await self.may_read_record(prefix, record_id):
            raise RefusedError(FORBIDDEN, messages.forbidden("recordId", record_id))

    async def may_read_record(self, prefix: str, record_id: str) -> bool:
        """Whether one of the record's tasks may be read."""
        if not prefix:
            return True
        return any(key.startswith(prefix) for key in await self._queries.task_keys_of(record_id))
