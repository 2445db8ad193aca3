"""Every error this project raises, grouped by what the caller does about it.

::

    ReplogError
    ├── RecoverableError      try again later; nothing was lost
    │   ├── StoreUnavailable      Redis does not answer, is loading, read-only or full, moves a slot, denies a right, or
    │   │                         came back with a store of another layout
    │   └── BrokerUnavailable     Kafka does not answer or refused for now
    │       ├── AuthenticationFailed  Kafka does not accept this process's credentials, or this process its certificate
    │       └── InstanceIdTaken       another member of the group has the static name of this one
    ├── StoreRewound          go back to the checkpoints; Redis lost acknowledged writes
    ├── StoreRefused          do not retry as it is: isolate the record and dead-letter its events
    ├── BrokerRefused         do not retry: Kafka denies the call to this user, or does not know it
    ├── MessageTooLargeError  do not retry as it is: the broker accepts no message of this size
    ├── InvalidEventError     do not retry: dead-letter the event, or report it to the publisher's author
    ├── UnreadableError       do not retry: skip the message or batch, and dead-letter what can be read of it
    ├── RefusedError          tell the client of the API (:mod:`replog_api.http.errors`)
    └── FatalError            stop the process; a person has to change something (exit code 2)
        ├── SettingsError         a setting is wrong
        ├── TopicMissing          Kafka has no topic of this name, or does not show it to this user
        ├── StoreIncompatible     at startup: Redis is too old, or the store has another layout
        └── TooManyDeadLetters    more events are invalid than the limits allow (exit code 3)

The edge module that owns a driver translates the driver's errors. No other module sees them.
"""

from __future__ import annotations

from typing import Literal


class ReplogError(Exception):
    """Root of the tree."""


class RecoverableError(ReplogError):
    """The same call may succeed later."""


#: Kinds of :class:`StoreUnavailable`. ``noperm``: the user lacks a right; ``cluster``: a slot is moving, or has no
#: master; ``incompatible``: the store has another layout.
STORE_TROUBLES = (
    "connection", "timeout", "loading", "noperm", "readonly", "oom", "cluster", "incompatible", "response",
)  # fmt: skip
#: The kind of a call that was not sent, because too many wait already.
BUSY = "busy"
#: Reasons of :class:`InvalidEventError`.
INVALID_REASONS = (
    "not_json", "not_an_object", "unknown_type", "missing_field", "invalid_field", "too_large", "clock_ahead",
)  # fmt: skip
#: Labels of what is not the event's fault: the store refuses it, or its message cannot be read.
REFUSED, UNREADABLE = "refused", "unreadable"


class StoreUnavailable(RecoverableError):  # noqa: N818 - named as the state it reports
    """Redis did not accept or answer the call.

    ``kind`` is a stable label for the metric ``replog_store_errors_total``, one of :data:`STORE_TROUBLES`. A query
    service also uses :data:`BUSY`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoreRefused(ReplogError):  # noqa: N818 - named as the state it reports
    """Redis answers, and refuses this call whenever it is sent: a key of the wrong type, a script that fails.

    Other records are not affected.
    """


class StoreRewound(ReplogError):  # noqa: N818 - named as the state it reports
    """The store lost writes that it had acknowledged, by a failover, a restored backup or a truncated file.

    Merging the events again repairs the store, as long as Kafka has them.
    """


class BrokerUnavailable(RecoverableError):  # noqa: N818 - named as the state it reports
    """Kafka did not accept or answer the call."""


class BrokerRefused(ReplogError):  # noqa: N818 - named as the state it reports
    """Kafka answers, and refuses this call whenever it is sent.

    ``kind`` is ``denied`` (the user lacks a right) or ``unsupported`` (the broker does not know the call).
    """

    def __init__(self, kind: Literal["denied", "unsupported"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


class AuthenticationFailed(BrokerUnavailable):
    """Kafka does not accept the credentials or the certificate of this process, or this process does not trust Kafka's.

    A process that starts with it ends, because its settings are wrong. One that had connected before tries again:
    credentials are being renewed.
    """


class InstanceIdTaken(BrokerUnavailable):
    """Another member of the group joined with the static name of this one, which waits until the name is free."""


class MessageTooLargeError(ReplogError):
    """The broker accepts no message of this size on this topic."""


class InvalidEventError(ReplogError):
    """An event breaks the event contract.

    ``reason`` is a stable label, one of :data:`INVALID_REASONS`; the message names the field and the value.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnreadableError(ReplogError):
    """A Kafka message, or a whole batch, cannot be read; the text says why."""


class FatalError(ReplogError):
    """The process cannot continue until a person changes something; it ends with ``exit_code``."""

    exit_code = 2


class SettingsError(FatalError):
    """A setting is wrong; the message names the variable, its value (secrets masked) and what is allowed."""


class TopicMissing(FatalError):  # noqa: N818 - named as the state it reports
    """Kafka has no topic of this name, or does not show it to this user."""


class StoreIncompatible(FatalError):  # noqa: N818 - named as the state it reports
    """At startup, the Redis server is too old, or holds a store whose layout this version does not know.

    If such a server takes the place of another under a running process, calls raise :class:`StoreUnavailable` of the
    kind ``incompatible`` until the right one is back.
    """


class TooManyDeadLetters(FatalError):  # noqa: N818 - named as the state it reports
    """So many events are invalid that the collector itself is more likely wrong, such as a version that is too old."""

    exit_code = 3
