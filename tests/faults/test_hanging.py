"""A collector that hangs says so, ends itself, and is as good as killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from replog_collector.health.watchdog import EXIT_CODE
from tests.support.scenario import stream

if TYPE_CHECKING:
    from tests.support.scenario import Scenario
    from tests.support.system import Process

pytestmark = pytest.mark.long

HANGING = "tests.support.hanging_collector"
ROOT = Path(__file__).parents[2]


def livez(collector: Process) -> tuple[int, str]:
    """What the liveness probe sees."""
    answer = collector.get("/livez")
    return answer.status_code, answer.text


def test_a_kafka_client_hangs(scenario: Scenario, tmp_path: Path) -> None:
    """An idle topic does not count as hanging; what lies there unread does."""
    hang = tmp_path / "hang"
    collector = scenario.system.started(
        HANGING, REPLOG_WATCHDOG_S="30", REPLOG_TEST_HANG=str(hang), PYTHONPATH=str(ROOT)
    )
    scenario.publish(stream(1))
    scenario.caught_up()
    scenario.note("the Kafka client of a collector hangs")
    hang.touch()
    scenario.publish(stream(2))
    scenario.wait(lambda: livez(collector)[0] == 503, "a probe that fails")
    assert "stands at offset" in livez(collector)[1]
    assert collector.wait() == EXIT_CODE
    assert collector.lines("stalled")
    scenario.note("it has ended itself, and is started again")
    hang.unlink()
    collector.start()
    scenario.finish()
