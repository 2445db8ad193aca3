"""Rights that the store's users need on Redis: one command each, on the keys under the prefix.

Redis says that a script lacks a right in words alone, as it says everything that goes wrong in a script before
version 7. So where an error has no code of its own, the server is asked instead: each command is queued in a
transaction that is then discarded. To queue a command, Redis checks all that it checks before it runs one (whether the
user may, whether the server takes writes, where the key is), and answers with codes. Nothing is run or written.

``docs/operations.md`` gives operators these rights as rules; a test compares them with what the store sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from redis import exceptions

from replog.store.client.scripts import SEEK
from replog.store.format.layout import READABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Right(NamedTuple):
    """One command that is sent; ``words`` are arguments that it takes, ``KEY`` stands for a key."""

    #: In lower case, with a subcommand behind a bar, as access lists write it.
    command: str
    words: tuple[str, ...]

    @property
    def rule(self) -> str:
        """The rule that gives it."""
        return f"+{self.command}"

    def call(self, key: bytes) -> tuple[Any, ...]:
        """The command as it goes over the wire, about ``key``."""
        return (*self.command.upper().split("|"), *(key if word == "KEY" else word for word in self.words))

    @property
    def on_key(self) -> bool:
        """Whether it is about a key."""
        return "KEY" in self.words


def _rights(*lines: str) -> tuple[Right, ...]:
    return tuple(Right(command, tuple(words)) for command, *words in map(str.split, lines))


#: What a query service sends, by its calls, in its scripts, and for the connection itself.
QUERY_SERVICE = _rights(
    f"evalsha {SEEK.sha} 1 KEY",
    "exists KEY",
    "get KEY",
    "hget KEY field",
    "hgetall KEY",
    "hlen KEY",
    "hmget KEY field",
    "hstrlen KEY field",
    "info server",
    "script|load text",
    "zcard KEY",
    "zcount KEY -inf +inf",
    "zlexcount KEY - +",
    "zmscore KEY member",
    "zrange KEY 0 0",
    "zrangebylex KEY - +",
    "zrevrange KEY 0 0",
    "zrevrangebylex KEY + -",
)
#: What a collector sends: all that, and what writes.
COLLECTOR = tuple(
    sorted(
        (
            *QUERY_SERVICE,
            *_rights(
                "bitcount KEY",
                "expire KEY 1",
                "hdel KEY field",
                "hincrby KEY field 1",
                "hscan KEY 0",
                "hset KEY field value",
                "incr KEY",
                "sadd KEY member",
                "set KEY value",
                "setbit KEY 0 1",
                "srem KEY member",
                "sscan KEY 0",
                "type KEY",
                "unlink KEY",
                "zadd KEY 0 member",
                "zrangebyscore KEY -inf +inf",
                "zrem KEY member",
                "zremrangebylex KEY - +",
                "zremrangebyscore KEY -inf +inf",
                "zscore KEY member",
            ),
        )
    )
)
#: What the operator's commands that work on a whole store send: all that, and what walks it.
OPERATOR = tuple(sorted((*COLLECTOR, *_rights("sismember KEY member", "zscan KEY 0"))))
#: What takes the questions themselves: it is not queued.
TRANSACTION = _rights("multi", "discard")
#: What a cluster takes beside that, and a database other than 0: without it no connection is made.
IN_CLUSTER = _rights("asking", "cluster|slots")
OTHER_DATABASE = _rights("select 0")

#: Tells a right to a command from one to its keys: the same command, without any.
_KEYLESS = ("EVALSHA", SEEK.sha, 0)


class Needs(NamedTuple):
    """The rights that a process needs on the keys under a prefix, and the layouts of the store that it can work on."""

    prefix: str
    rights: tuple[Right, ...]
    layouts: Collection[int] = READABLE

    @property
    def key(self) -> bytes:
        """A key of that prefix that does not exist."""
        return key_beside(f"{self.prefix}:{{0}}".encode())

    @property
    def in_cluster(self) -> Needs:
        """The same, of a node of a cluster."""
        return self._replace(rights=(*self.rights, *IN_CLUSTER))


class Asked(Protocol):
    """A server that says what it would say; see :class:`replog.store.client.node.Node`."""

    async def queue(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers to MULTI, to each of ``commands`` as it is queued, and to DISCARD; to MULTI alone where it fails.

        An error that the server answers is an answer.
        """


async def missing_rights(node: Asked, needs: Needs) -> list[str]:
    """The rights that the user of ``node`` lacks of those it ``needs``, as rules for its access list.

    Raises the driver's error where the server does not answer.
    """
    opened, *answers = await node.queue([*(right.call(needs.key) for right in needs.rights), _KEYLESS])
    if not answers:
        if _is_noperm(opened):
            return [right.rule for right in TRANSACTION]
        raise opened
    *answers, keyless, closed = answers
    refused = [right for right, answer in zip(needs.rights, answers, strict=True) if _is_noperm(answer)]
    of_key = sum(right.on_key for right in needs.rights)
    if sum(right.on_key for right in refused) == of_key and not _is_noperm(keyless):
        refused = [right for right in refused if not right.on_key]
        return [f"~{needs.prefix}:*", *(right.rule for right in refused)]
    return [right.rule for right in refused] + ["+discard"] * _is_noperm(closed)


async def obstacle(node: Asked, needs: Needs, key: bytes) -> exceptions.RedisError | None:
    """The error that keeps ``node`` from taking every command on ``key`` now; None where there is none.

    A missing right comes before anything else. ``key`` should not exist: of a slot on the move that has left already.
    Raises the driver's error where the server does not answer.
    """
    answers = await node.queue([right.call(key) for right in needs.rights])
    errors = [answer for answer in answers if isinstance(answer, exceptions.RedisError)]
    return next(filter(_is_noperm, errors), errors[0] if errors else None)


async def named(node: Asked, needs: Needs, error: exceptions.NoPermissionError) -> exceptions.NoPermissionError:
    """``error``, with all that the user of ``node`` lacks; as it is, where that is nothing any more."""
    missing = await missing_rights(node, needs)
    return exceptions.NoPermissionError(f"the user lacks {' '.join(missing)} ({error})") if missing else error


def key_beside(key: bytes) -> bytes:
    """A key in the slot of ``key`` that does not exist."""
    head, brace, _ = key.partition(b"}")
    return head + brace + b":rights"


def _is_noperm(answer: Any) -> bool:
    return isinstance(answer, exceptions.NoPermissionError)
