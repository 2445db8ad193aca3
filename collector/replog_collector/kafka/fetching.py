"""A Kafka client that reads what it fetches with :mod:`replog_collector.kafka.records`."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from replog_collector.kafka.record_batches import Batches
from replog_collector.kafka.records import FetchedRecords, RecordReader


class SafeConsumer(AIOKafkaConsumer):
    """aiokafka's consumer, but nothing that is in a batch raises out of a poll, or takes more memory than allowed.

    Among the messages of a poll there are :class:`~replog_collector.kafka.source.Unreadable` in place of those that
    cannot be read. A batch is passed over that decompresses to more than ``max_batch_bytes``; one poll takes twice as
    much at most. The others are :class:`aiokafka.AIOKafkaConsumer`'s options.
    """

    def __init__(self, *, max_batch_bytes: int, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._reader = RecordReader(max_batch_bytes, self.highwater)

    async def start(self) -> None:
        """Connect, as the client does."""
        # It has no option for what reads. Its own code is run, with names of ours for what it makes.
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
    """``function``, for which ``names`` of its module stand for something else.

    Raises:
        RuntimeError: it uses no such name, for it is of another version of the library.
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
