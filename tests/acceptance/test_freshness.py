"""Every answer says as of when it is, and that is true whatever the collectors do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.freshness import VersionRecorder, as_of_ms, let_the_broker_date
from tests.support.services.process import wait_until
from tests.support.system import API, COLLECTOR, READABLE_TIMEOUT_S, RECORDS, Process, system_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.services.kafka import Broker
    from tests.support.services.redis import RedisServer
    from tests.support.system import System

#: How far behind an idle system may be: a look, a mark and a reading of it are a second, a half and a second apart.
FRESH_MS = 5000


@pytest.fixture
def system(kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of one test, nothing started."""
    with system_on(kafka, redis_url, tmp_path_factory.mktemp("system")) as made:
        yield made


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def told_ms(api: Process) -> int:
    return as_of_ms(api.get(f"{RECORDS}/list/x"))


def standing_ms(api: Process) -> int:
    """As of when a service says that it is, which must not move any more but for what it had read already."""
    last_ms = told_ms(api)
    wait_until(lambda: told_ms(api) != last_ms, 1.5)
    last_ms = told_ms(api)
    assert not wait_until(lambda: told_ms(api) != last_ms, 3)
    return last_ms


def is_fresh(api: Process, since_ms: int) -> bool:
    """Whether the service comes to say that it is of a time after ``since_ms``, and not of the future."""
    assert wait_until(lambda: told_ms(api) > since_ms, READABLE_TIMEOUT_S), (told_ms(api), since_ms)
    return now_ms() - FRESH_MS < told_ms(api) <= now_ms()


def test_time_goes_on_while_nothing_comes_and_stands_still_without_a_collector(system: System) -> None:
    api = system.started(API)
    assert told_ms(api) == 0
    collector = system.started(COLLECTOR)
    assert is_fresh(api, 0)
    assert is_fresh(api, now_ms())

    stopped_ms = now_ms()
    assert collector.stop() == 0
    assert stopped_ms - FRESH_MS < standing_ms(api) <= now_ms()

    collector.start()
    assert is_fresh(api, now_ms())


def test_what_was_published_before_that_time_is_in_the_answer(kafka: Broker, system: System) -> None:
    """While events come in all the time, a collector is killed, and another takes over."""
    dated = kafka.kind != "embedded"
    if dated:
        let_the_broker_date(system)
    api, collector = system.started(API), system.started(COLLECTOR)
    recorder = VersionRecorder(system, api, dated=dated)
    with recorder.running():
        assert wait_until(lambda: recorder.told_ms > now_ms() - FRESH_MS, READABLE_TIMEOUT_S)
        before_ms = now_ms()
        assert wait_until(lambda: recorder.told_ms > before_ms, READABLE_TIMEOUT_S)
        collector.kill()
        killed_ms = now_ms()
        answered = len(recorder.answers)
        assert wait_until(lambda: len(recorder.answers) > answered + 60, READABLE_TIMEOUT_S)
        assert recorder.told_ms <= killed_ms
        collector.start()
        assert wait_until(lambda: recorder.told_ms > killed_ms, READABLE_TIMEOUT_S)


def test_while_the_store_is_down_answers_say_the_last_time_known(system: System, redis_server: RedisServer) -> None:
    if not redis_server.restartable:
        pytest.skip("needs a Redis that may be ended")
    api = system.started(API)
    collector = system.started(COLLECTOR)
    assert is_fresh(api, 0)
    collector.kill()
    last_ms = standing_ms(api)
    redis_server.kill()
    try:
        answer = api.get(f"{RECORDS}/list/x")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert as_of_ms(answer) == last_ms
    finally:
        redis_server.start()
    assert wait_until(lambda: api.get(f"{RECORDS}/list/x").status_code == httpx.codes.OK, READABLE_TIMEOUT_S)
    assert told_ms(api) <= last_ms
