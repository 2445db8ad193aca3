"""What each kind of fault does to a simulation, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.broker import Partition
from tests.simulation.clients import denied

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.collector_process import SimulatedCollector
    from tests.simulation.redis import Server
    from tests.simulation.schedule import Fault
    from tests.simulation.world import World

#: Calls that a failing server loses, at most.
MOST_LOST = 400


def begin(world: World, fault: Fault) -> None:
    """Let a fault begin; it ends by itself."""
    words, end = _BEGINNINGS[fault.kind](world, fault)
    lasts = f"{fault.lasts_s:g} s"
    world.story.tell("a fault", words.replace("{lasts}", lasts))
    world.loop.in_world(fault.lasts_s, _end, world, fault, end)


def _end(world: World, fault: Fault, end: Callable[[], None]) -> None:
    world.troubles -= 1
    end()
    world.kafka.wake()


def _nothing() -> None:
    return


def _collector_of(world: World, fault: Fault) -> SimulatedCollector | None:
    there = [collector for collector in world.collectors if not collector.ended]
    return there[fault.number % len(there)] if there else None


_Begun = tuple[str, "Callable[[], None]"]
_NOBODY: _Begun = ("nothing: there is no collector", _nothing)
_NOTHING_IN_TOPIC: _Begun = ("nothing: nobody publishes yet, as the topic was made anew", _nothing)


def _kill(world: World, fault: Fault) -> _Begun:
    collector = _collector_of(world, fault)
    if collector is None:
        return _NOBODY
    world.kill(collector)
    return fault.words(collector=collector.process), world.start_collector


def _freeze(world: World, fault: Fault) -> _Begun:
    collector = _collector_of(world, fault)
    if collector is None:
        return _NOBODY
    process = collector.process
    world.loop.freeze(process)
    collector.was_frozen = True
    return fault.words(collector=process, lasts="{lasts}"), lambda: world.loop.thaw(process)


def _stop(world: World, fault: Fault) -> _Begun:
    collector = _collector_of(world, fault)
    if collector is None:
        return _NOBODY
    # It ends when it is done, beside the one that takes its place.
    collector.stop()
    return fault.words(collector=collector.process), world.start_collector


def _rebalance(world: World, fault: Fault) -> _Begun:
    world.kafka.group.prepare()
    return fault.words(), _nothing


def _kafka_flag(name: str) -> Callable[[World, Fault], _Begun]:
    def begin_it(world: World, fault: Fault) -> _Begun:
        setattr(world.kafka, name, True)
        return fault.words(lasts="{lasts}"), lambda: setattr(world.kafka, name, False)

    return begin_it


def _client_hangs(world: World, fault: Fault) -> _Begun:
    collector = _collector_of(world, fault)
    if collector is None or collector.consumer is None:
        return _NOBODY
    consumer = collector.consumer
    consumer.hangs = True
    return fault.words(collector=collector.process, lasts="{lasts}"), lambda: setattr(consumer, "hangs", False)


def _client_fails(world: World, fault: Fault) -> _Begun:
    collector = _collector_of(world, fault)
    if collector is None or collector.consumer is None:
        return _NOBODY
    collector.consumer.broken = denied()
    return fault.words(collector=collector.process), _nothing


def _client_dies(world: World, fault: Fault) -> _Begun:
    collector = _collector_of(world, fault)
    if collector is None or collector.consumer is None:
        return _NOBODY
    task = collector.consumer._client._sync_task
    if not task.done():
        task.set_result(None)
    return fault.words(collector=collector.process), _nothing


def _grow(world: World, fault: Fault) -> _Begun:
    partitions = world.kafka.partitions
    partitions.append(Partition(len(partitions)))
    return fault.words(), _nothing


def _anew(world: World, fault: Fault) -> _Begun:
    world.make_topic_anew()
    return fault.words(lasts="{lasts}"), world.fill_topic_again


def _control(world: World, fault: Fault) -> _Begun:
    if world.is_topic_anew:
        return _NOTHING_IN_TOPIC
    for partition in world.kafka.partitions:
        for _ in range(1 + fault.number % 3):
            world.kafka.append(partition, control=True)
    return fault.words(), _nothing


def _transaction(world: World, fault: Fault) -> _Begun:
    if world.is_topic_anew:
        return _NOTHING_IN_TOPIC
    partition = _partition_of(world, fault)
    if partition.open_at is None:
        partition.open_at = partition.end
        world.kafka.append(partition, control=True)

    def end() -> None:
        partition.open_at = None
        world.kafka.append(partition, control=True)

    return fault.words(number=partition.number, lasts="{lasts}"), end


def _unreadable(world: World, fault: Fault) -> _Begun:
    if world.is_topic_anew:
        return _NOTHING_IN_TOPIC
    partition = _partition_of(world, fault)
    world.kafka.append_unreadable(partition, "simulated: damaged", messages=1 + fault.number % 3)
    return fault.words(number=partition.number), _nothing


def _retention(world: World, fault: Fault) -> _Begun:
    partition = _partition_of(world, fault)
    first = partition.first + (partition.stable - partition.first) // 2
    world.judge.deleted.update(partition.entries[partition.first : first])
    partition.first = first
    return fault.words(number=partition.number), _nothing


def _partition_of(world: World, fault: Fault) -> Partition:
    return world.kafka.partitions[fault.number % len(world.kafka.partitions)]


def _server_of(world: World, fault: Fault) -> Server:
    return world.redis.servers[fault.number % len(world.redis.servers)]


def _redis_hangs(world: World, fault: Fault) -> _Begun:
    server = _server_of(world, fault)
    server.hangs_until_s = max(server.hangs_until_s, world.loop.now_s + fault.lasts_s)
    return fault.words(number=server.number, lasts="{lasts}"), _nothing


def _redis_trouble(kind: str, *, reads: bool = False) -> Callable[[World, Fault], _Begun]:
    def begin_it(world: World, fault: Fault) -> _Begun:
        server = _server_of(world, fault)
        server.trouble, server.reads_all_the_same = kind, reads
        return fault.words(number=server.number, lasts="{lasts}"), lambda: setattr(server, "trouble", None)

    return begin_it


def _lost_by(server: Server, fault: Fault) -> int:
    return min(1 + (fault.number >> 4) % MOST_LOST, len(server.keyspace.log))


def _redis_loses(world: World, fault: Fault) -> _Begun:
    server = _server_of(world, fault)
    lost = _lost_by(server, fault)
    with world.judge.losing(server):
        server.lose(lost)
    return fault.words(number=server.number, number_of_calls=lost), _nothing


def _redis_older(world: World, fault: Fault) -> _Begun:
    server = _server_of(world, fault)
    server.trouble, server.reads_all_the_same = "connection", False
    lost = _lost_by(server, fault)

    def end() -> None:
        server.trouble = None
        with world.judge.losing(server):
            server.lose(lost)

    return fault.words(number=server.number, lasts="{lasts}", number_of_calls=lost), end


_BEGINNINGS: dict[str, Callable[[World, Fault], _Begun]] = {
    "kill": _kill,
    "freeze": _freeze,
    "stop": _stop,
    "rebalance": _rebalance,
    "kafka away": _kafka_flag("away"),
    "commits fail": _kafka_flag("commits_fail"),
    "leaderless": _kafka_flag("leaderless"),
    "answers lost": _kafka_flag("answers_lost"),
    "client hangs": _client_hangs,
    "client fails": _client_fails,
    "client dies": _client_dies,
    "grow": _grow,
    "anew": _anew,
    "control": _control,
    "transaction": _transaction,
    "unreadable": _unreadable,
    "retention": _retention,
    "redis hangs": _redis_hangs,
    "redis away": _redis_trouble("connection"),
    "redis full": _redis_trouble("oom", reads=True),
    "redis denies": _redis_trouble("noperm"),
    "redis replica": _redis_trouble("readonly", reads=True),
    "redis loses": _redis_loses,
    "redis older": _redis_older,
}
