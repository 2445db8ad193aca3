"""The read port: everything that the query service asks of the store, in the words of the domain.

Behind it are the commands, keys and replies of Redis. Filters (:mod:`replog.store.read.filters`), rows
(:mod:`replog.store.format.rows`) and results (:mod:`replog.store.read.results`) are the values that it takes and
returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.store.read.reader import READ_LIMITS, ReadLimits
from replog.store.read.record_queries import RecordQueries
from replog.store.read.task_queries import REMEMBERED, TaskQueries

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner


class StoreQueries:
    """Queries of one store; one instance a process, which remembers the pages of tasks that it read last.

    Every query raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer.
    """

    def __init__(
        self, connection: CommandRunner, *, remembered: int = REMEMBERED, limits: ReadLimits = READ_LIMITS
    ) -> None:
        self.records = RecordQueries(connection, limits)
        self.tasks = TaskQueries(connection, remembered=remembered, limits=limits)
