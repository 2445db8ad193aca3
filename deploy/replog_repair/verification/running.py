"""Runs a verification with the settings of the services: opens what it needs, and closes it."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from replog.store.client.pipelining import SharedPipelines
from replog.store.format.layout import COPYABLE, READABLE
from replog.store.inspect.task_check import listed_records
from replog_collector.pipeline.clock_limit import AheadLimit
from replog_collector.topics.reader import TopicReader
from replog_repair.copying.places import TIMEOUT_S, opened_store
from replog_repair.patience import PatientRunner
from replog_repair.verification.fold_selection import Selection
from replog_repair.verification.other_store import OtherStore
from replog_repair.verification.topic_fold import TopicFold
from replog_repair.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from replog.settings import CollectorSettings
    from replog.store.client.pipelining import CommandRunner
    from replog_repair.stores import NamedStore
    from replog_repair.verification.expectation import Expectation
    from replog_repair.verification.verifier import Reporter, Verdict

_DAY_MS = 86_400_000


class Scope(NamedTuple):
    """The part of the store that is verified: one record, the records of one task, or everything."""

    record_id: str | None = None
    task_key: str | None = None


async def verify(
    settings: CollectorSettings,
    *,
    store: NamedStore,
    against: NamedStore | None,
    scope: Scope,
    repair: bool,
    report: Reporter,
) -> Verdict:
    """Verify ``store`` against another one, or the topic of the settings.

    Raises:
        FatalError: something cannot be used as it is.
        RecoverableError: Redis or Kafka did not answer for too long.
    """
    async with AsyncExitStack() as opened:
        connection = await opened.enter_async_context(shared_store(store))
        if against:
            other = await opened.enter_async_context(shared_store(against, layouts=COPYABLE))
            expectation: Expectation = OtherStore(other, unreadable=lambda *_: None)
        else:
            reader = await opened.enter_async_context(TopicReader(settings, settings.kafka_topic))
            expectation = opened.enter_context(
                TopicFold(
                    reader,
                    AheadLimit(settings.max_ahead_s),
                    progress=report.update,
                    selection=await _selection(scope, connection),
                )
            )
            report.begin(f"read {settings.kafka_topic}")
        verifier = Verifier(connection, expectation, kept_since_ms=_kept_since_ms(settings), report=report)
        if scope.record_id is not None:
            return await verifier.verify_record(scope.record_id, repair=repair)
        if scope.task_key is not None:
            return await verifier.verify_task(scope.task_key, repair=repair)
        return await verifier.verify_all(repair=repair)


async def _selection(scope: Scope, connection: CommandRunner) -> Selection:
    if scope.record_id is not None:
        return Selection([scope.record_id])
    if scope.task_key is None:
        return Selection()
    listed = [record_id async for ids in listed_records(connection, scope.task_key) for record_id in ids]
    return Selection(listed, task_key=scope.task_key)


def _kept_since_ms(settings: CollectorSettings) -> int:
    """Time of the last event, in ms, before which retention may have removed a record."""
    days = min(settings.retention_days, settings.retention_failed_days or settings.retention_days)
    return int(time.time() * 1000 - days * _DAY_MS)


@asynccontextmanager
async def shared_store(place: NamedStore, layouts: Collection[int] = READABLE) -> AsyncIterator[CommandRunner]:
    """A store of one of ``layouts``, whose concurrent calls share pipelines, and that waits through short outages."""
    async with opened_store(place, layouts=layouts) as connection:
        pipelines = SharedPipelines(connection, timeout_s=TIMEOUT_S)
        try:
            yield PatientRunner(pipelines)
        finally:
            await pipelines.close()
