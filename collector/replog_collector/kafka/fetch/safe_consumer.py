"""A Kafka client that reads what it fetches with :mod:`replog_collector.kafka.fetch.fetched_records`."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from replog_collector.kafka.fetch.fetched_records import FetchedRecords, RecordReader
from replog_collector.kafka.fetch.record_batches import Batches


class SafeConsumer(AIOKafkaConsumer):
    """aiokafka's consumer, safe against the content of batches: it neither raises nor takes more memory than allowed.

    A poll returns :class:`~replog_collector.kafka.source.Unreadable` in place of messages that cannot be read. A batch
    that decompresses to more than ``max_batch_bytes`` is passed over; one poll takes twice as much at most. The other
    options are those of :class:`aiokafka.AIOKafkaConsumer`.
    """

    def __init__(self, *, max_batch_bytes: int, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._reader = RecordReader(max_batch_bytes, self.highwater)

    async def start(self) -> None:
        """Connect, as the client does."""
        # The client has no option for its reader. Its own code is run, with our classes for those that it instantiates.
        await _with_names(AIOKafkaConsumer.start, Fetcher=self._made_fetcher)(self)

    async def getmany(self, *partitions: Any, **options: Any) -> dict[Any, list[Any]]:
        """Poll, as the client does."""
        self._reader.begin_poll()
        fetched: dict[Any, list[Any]] = await super().getmany(*partitions, **options)
        return fetched

    def _made_fetcher(self, *arguments: Any, **options: Any) -> Any:
        fetcher: Any = Fetcher(*arguments, **options)
        records = partial(FetchedRecords, self._reader)
        process = _with_names(Fetcher._proc_fetch_request, MemoryRecords=Batches, PartitionRecords=records)  # noqa: SLF001 - as above
        fetcher._proc_fetch_request = MethodType(process, fetcher)  # noqa: SLF001
        return fetcher


def _with_names(function: Any, **names: Any) -> Any:
    """A copy of ``function`` in which the global ``names`` are replaced.

    Raises:
        RuntimeError: it does not use such a name, as in another version of the library.
    """
    if unused := names.keys() - set(function.__code__.co_names):
        raise RuntimeError(f"{function.__qualname__} does not use {', '.join(sorted(unused))}")
    named = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    named.__kwdefaults__ = function.__kwdefaults__
    return named
