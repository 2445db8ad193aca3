"""Every error this project raises, grouped by what the caller does about it.

::

    ReplogError
    ├── RecoverableError      try again later; nothing was lost
    │   ├── StoreUnavailable      Redis does not answer, is loading, read-only or full, moves a slot, denies a right, or
    │   │                         came back with a store of another layout
    │   └── BrokerUnavailable     Kafka does not answer or refused for now
    │       └── InstanceIdTaken       another member of the group has the static name of this one
    ├── StoreRewound          go back to what the store has; Redis lost writes that it had acknowledged
    ├── StoreRefused          never try again as it is: one record's data; find the culprit and dead-letter it
    ├── MessageTooLargeError  never try again as it is: the broker takes no message of this size
    ├── InvalidEventError     never try again: dead-letter the event, or tell the publisher's author
    ├── UnreadableError       never try again: pass over what Kafka has there, and dead-letter what can be read of it
    ├── RefusedError          tell the client of the API (:mod:`replog_api.http.errors`)
    └── FatalError            stop the process; a person has to change something (exit code 2)
        ├── SettingsError         a setting is wrong
        ├── StoreIncompatible     at the start: Redis is too old, or the store has another layout
        └── TooManyDeadLetters    more events break the contract than are let go by (exit code 3)

Drivers' own errors are translated at the edge that owns the driver and are not seen elsewhere.
"""

from __future__ import annotations


class ReplogError(Exception):
    """Root of the tree."""


class RecoverableError(ReplogError):
    """The same call may succeed later."""


class StoreUnavailable(RecoverableError):  # noqa: N818 - named as the state it reports
    """Redis did not take or answer the call.

    ``kind`` is a short stable word for the metric ``replog_store_errors_total``:
    ``connection``, ``timeout``, ``loading``, ``noperm`` (the user lacks a right), ``readonly``, ``oom``, ``cluster``
    (a slot is on the move, or has no master), ``incompatible`` (it holds a store of another layout) or ``response``; in
    a query service also ``busy`` (too many calls wait already).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoreRefused(ReplogError):  # noqa: N818 - named as the state it reports
    """Redis answers and will not take this call whenever it comes: a key of the wrong type, a script that fails.

    Other records are not concerned.
    """


class StoreRewound(ReplogError):  # noqa: N818 - named as the state it reports
    """The store lacks something that it had acknowledged: a failover, a backup or a cut file took it away.

    Merging it again makes it good, as long as Kafka has it.
    """


class BrokerUnavailable(RecoverableError):  # noqa: N818 - named as the state it reports
    """Kafka did not take or answer the call."""


class InstanceIdTaken(BrokerUnavailable):
    """Another member of the group joined with the static name of this one, which waits until it is free."""


class MessageTooLargeError(ReplogError):
    """The broker takes no message of this size on this topic."""


class InvalidEventError(ReplogError):
    """An event breaks the event contract.

    ``reason`` is a short stable word (``not_json``, ``not_an_object``, ``unknown_type``, ``missing_field``,
    ``invalid_field``, ``too_large``, ``clock_ahead``); the message names the field and the value.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnreadableError(ReplogError):
    """A message, or a whole batch, is no Kafka record that can be read; the message says what is wrong."""


class FatalError(ReplogError):
    """The process cannot go on until a person changes something; ``exit_code`` is what it ends with."""

    exit_code = 2


class SettingsError(FatalError):
    """A setting is wrong; the message names the variable, its value (secrets masked) and what is allowed."""


class StoreIncompatible(FatalError):  # noqa: N818 - named as the state it reports
    """The Redis server is too old, or holds a store whose layout this version does not know: its start is refused.

    Where such a server takes the place of another under a running process, calls raise :class:`StoreUnavailable` of the
    kind ``incompatible``, until the right one is back.
    """


class TooManyDeadLetters(FatalError):  # noqa: N818 - named as the state it reports
    """So many events are invalid that more likely the collector is wrong about them than they are."""

    exit_code = 3
