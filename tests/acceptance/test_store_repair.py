"""Copies, verifications and rebuilds as operators run them: commands beside running services, killed and run again."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from replog.store.format.keys import RecordKeys, task_keys
from replog.store.format.layout import LAYOUT, Mark, all_buckets
from tests.support.administered import AdministeredConnection
from tests.support.model import Model
from tests.support.operator_commands import COULD_NOT, DIFFERENT, EQUAL, OperatorCommands
from tests.support.services.process import wait_until
from tests.support.services.redis import connected, remove_keys
from tests.support.services.redis_acl import url_as_operator
from tests.support.store.batches import many_events
from tests.support.store.former_layout import turn_back
from tests.support.system import API, COLLECTOR, READABLE_TIMEOUT_S, answers_what, message, system_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.services.kafka import Broker
    from tests.support.services.redis import RedisServer
    from tests.support.strategies import Event
    from tests.support.system import Process, System

pytestmark = pytest.mark.real_broker


class Operated:
    """A system, and the commands of its operator."""

    def __init__(self, system: System, server: RedisServer) -> None:
        self.system = system
        self.server = server
        self.prefix = system.variables["REPLOG_REDIS_PREFIX"]
        self.other = f"{self.prefix}.other"
        self.events: list[Event] = []
        self._commands = OperatorCommands(system)
        self.run = self._commands.run

    def publish(self, seed: int, count: int = 600) -> None:
        """Publish more events of many records, and erase one of them."""
        events = [
            {**event, "recordId": f"{event['recordId']}-{i % 17}"}
            for i, event in enumerate(many_events(random.Random(seed), count))
        ]
        events.append({"type": "record.erased", "recordId": events[0]["recordId"], "eventTime": "2021-12-31T00:00:00Z"})
        assert len(self.system.publish([message(event) for event in events])) == len(events)
        self.events += events

    def collected(self, collector: Process) -> None:
        """Return once a collector, alone in its group, is at the ends of all partitions."""

        def is_done() -> bool:
            return sum(collector.metrics("replog_consumer_position").values()) == len(self.events)

        assert wait_until(is_done, READABLE_TIMEOUT_S), collector.log

    def killed(self, *words: str, key: str) -> None:
        """Run a command, and kill it once ``key``, or one that begins so, is there."""
        self._commands.kill(*words, redis_url=self.server.url, keys=f"{key}*")

    def turn_back(self) -> None:
        """Make the store, which no process writes, one of layout 1."""

        async def run() -> None:
            async with AdministeredConnection(url_as_operator(self.server.url), self.prefix) as connection:
                await turn_back(connection, Model(self.events).record_ids)

        asyncio.run(run())

    def mark(self, mark: Mark) -> None:
        """Have the store say that it has another layout."""
        with connected(self.server.url) as client:
            for bucket in all_buckets(self.prefix):
                client.set(bucket.layout, mark.encoded())

    def dropped(self, prefix: str, **variables: str) -> None:
        """Remove a store, and require that nothing is left of it but notes of merges."""
        code, _, err = self.run("rebuild", "--drop", f"#{prefix}", **variables)
        assert code == 0, err
        with connected(self.server.url) as client:
            left = {key.split(b"}:", 1)[1][:5] for key in client.scan_iter(match=f"{prefix}:*", count=1000)}
        assert left <= {b"calls"}

    def answers(self, prefix: str) -> None:
        """Require that a query service on ``prefix`` answers what the oracle says."""
        answers_what(self.system.started(API, REPLOG_REDIS_PREFIX=prefix), Model(self.events, now=datetime.now(UTC)))


@pytest.fixture
def operated(
    kafka: Broker, redis_server: RedisServer, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operated]:
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as system:
        yield Operated(system, redis_server)


def test_a_store_moves_to_another_prefix_while_it_is_written(operated: Operated) -> None:
    """The copy is killed and run again; collectors go on where the old store was, and nothing is missing."""
    old = operated.system.started(COLLECTOR)
    operated.publish(1)
    operated.collected(old)
    to = ("copy", "--to", f"#{operated.other}")
    operated.killed(*to, key=f"{operated.other}:{{3")
    operated.publish(2)
    code, out, err = operated.run(*to, "--json")
    assert code == 0, err
    assert json.loads(out)["to"].endswith(f"#{operated.other}")
    operated.publish(3)
    operated.collected(old)
    assert old.stop() == 0
    new = operated.system.started(COLLECTOR, REPLOG_REDIS_PREFIX=operated.other)
    operated.publish(4)
    operated.collected(new)
    operated.answers(operated.other)
    code, _, err = operated.run("verify", REPLOG_REDIS_PREFIX=operated.other)
    assert code == EQUAL, err
    # The way back: the old store's checkpoints are older than the group's commits.
    assert new.stop() == 0
    old.start()
    operated.collected(old)
    operated.answers(operated.prefix)


def test_a_backup_gives_the_store_back(operated: Operated, tmp_path: Path) -> None:
    """What came after the backup comes from the topic again."""
    collector = operated.system.started(COLLECTOR)
    operated.publish(1)
    operated.collected(collector)
    backup = str(tmp_path / "backup.replog")
    assert operated.run("copy", "--to", backup)[0] == 0
    operated.publish(2)
    operated.collected(collector)
    assert collector.stop() == 0
    remove_keys(operated.server.url, operated.prefix)
    code, out, err = operated.run("copy", "--from", backup)
    assert code == 0, err
    assert "records and details copied" in out
    collector.start()
    operated.collected(collector)
    operated.answers(operated.prefix)
    # Only what came after the backup was read again.
    assert sum(collector.metrics("replog_events_total").values()) < len(operated.events)
    (tmp_path / "broken").write_bytes((tmp_path / "backup.replog").read_bytes()[:-9])
    code, _, err = operated.run("copy", "--from", str(tmp_path / "broken"))
    assert code == 1
    assert "is no whole copy of a store: at byte" in err


def test_a_second_store_is_rebuilt_beside_the_live_one(operated: Operated) -> None:
    """The rebuild is killed and run again; the live store cannot be dropped, the other one can."""
    live = operated.system.started(COLLECTOR)
    operated.publish(1)
    operated.collected(live)
    into = ("rebuild", "--into", f"#{operated.other}")
    operated.killed(*into, key=f"{operated.other}:{{3")
    code, out, err = operated.run(*into)
    assert code == EQUAL, err
    assert f"REPLOG_REDIS_PREFIX={operated.other}" in out
    operated.publish(2)
    operated.collected(live)
    # It is behind now, and says so; a collector on it goes on where the rebuild has ended.
    assert operated.run("verify", "--against", f"#{operated.other}")[0] == DIFFERENT
    assert live.stop() == 0
    new = operated.system.started(COLLECTOR, REPLOG_REDIS_PREFIX=operated.other)
    operated.collected(new)
    assert sum(new.metrics("replog_events_total").values()) < len(operated.events)
    operated.answers(operated.other)
    assert new.stop() == 0
    assert operated.run("verify", "--against", f"#{operated.other}")[0] == EQUAL
    for option, failed in (("--drop", 1), ("--into", COULD_NOT)):
        code, _, err = operated.run("rebuild", option, f"#{operated.prefix}")
        assert code == failed
        assert "is the live store" in err
    operated.dropped(operated.other)


def test_a_store_of_the_former_layout_is_upgraded_in_the_documented_steps(operated: Operated) -> None:
    """As docs/operations.md says under "A new layout". What came since the copy is read from the topic."""
    former = operated.system.started(COLLECTOR)
    operated.publish(1)
    operated.collected(former)
    assert former.stop() == 0
    operated.turn_back()
    on_new = {"REPLOG_REDIS_PREFIX": operated.other}
    code, _, err = operated.run("copy", "--to", f"#{operated.other}")
    assert code == 0, err
    operated.publish(2)
    new = operated.system.started(COLLECTOR, **on_new)
    operated.collected(new)
    assert sum(new.metrics("replog_events_total").values()) < len(operated.events)
    operated.answers(operated.other)
    code, _, err = operated.run("verify", **on_new)
    assert code == EQUAL, err
    operated.dropped(operated.prefix, **on_new)
    operated.answers(operated.other)


def test_a_store_is_rebuilt_beside_one_that_this_version_cannot_read(operated: Operated) -> None:
    """Only the comparison falls away."""
    former = operated.system.started(COLLECTOR)
    operated.publish(1)
    operated.collected(former)
    assert former.stop() == 0
    operated.mark(Mark(LAYOUT + 1, "9.9"))
    into = ("rebuild", "--into", f"#{operated.other}")
    code, out, err = operated.run(*into)
    assert code == COULD_NOT, err
    assert f"REPLOG_REDIS_PREFIX={operated.other}" in out
    assert "not compared with the live store" in err
    assert f"layout {LAYOUT + 1}, written by replog 9.9" in err
    code, out, err = operated.run(*into, "--json")
    assert (code, json.loads(out)["comparison"]) == (COULD_NOT, None), err
    operated.publish(2)
    new = operated.system.started(COLLECTOR, REPLOG_REDIS_PREFIX=operated.other)
    operated.collected(new)
    operated.answers(operated.other)
    assert new.stop() == 0
    code, _, err = operated.run("rebuild", "--drop", f"#{operated.prefix}", REPLOG_REDIS_PREFIX=operated.other)
    assert code == 1
    assert f"layout {LAYOUT + 1}" in err
    operated.dropped(operated.other)


def test_verify_names_what_is_wrong_and_repairs_it(operated: Operated) -> None:
    collector = operated.system.started(COLLECTOR)
    operated.publish(1)
    operated.collected(collector)
    assert operated.run("verify")[0] == EQUAL
    record_id = next(iter(Model(operated.events).record_ids))
    task_key = Model(operated.events).run(record_id)["record"]["taskKey"]
    keys, (task, *_) = RecordKeys(operated.prefix, record_id), task_keys(operated.prefix, task_key)
    with connected(operated.server.url) as client:
        assert client.hdel(task, record_id)
        client.hincrby(keys.record, "s1", 1)
    code, out, err = operated.run("verify", "--json")
    assert code == DIFFERENT, err
    found: list[dict[str, Any]] = json.loads(out)["differences"]
    assert {(of["what"], of["recordId"], of["taskKey"]) for of in found} >= {
        ("sum", record_id, None),
        ("not_listed", record_id, task_key),
    }
    code, out, err = operated.run("verify", "--record", record_id)
    assert code == DIFFERENT
    assert f"sum: record {record_id}: s1 is " in out
    code, _, err = operated.run("verify", "--repair")
    assert code == EQUAL, err
    operated.answers(operated.prefix)
    assert operated.run("verify", REPLOG_KAFKA_TOPIC="replog-test.none")[0] == COULD_NOT
