"""At every scrape, whatever happens: received is what became of events and what is in hand."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from tests.support.scenario import POISON, accounts, stream
from tests.support.services.redis import connected
from tests.support.system import message, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.scenario import Scenario
    from tests.support.system import Process

pytestmark = pytest.mark.long

#: The longest pause between two scrapes.
BETWEEN_S = 0.1


class Scrape(NamedTuple):
    """What one collector said in one answer."""

    received: float
    results: float
    pending: float


@contextmanager
def scraped(collector: Process) -> Iterator[list[Scrape]]:
    """What ``collector`` says at random moments while the block runs, also beyond its death and rebirth."""
    scrapes: list[Scrape] = []
    over = threading.Event()

    def run() -> None:
        random = Random(4)
        while not over.wait(random.uniform(0, BETWEEN_S)):
            # It may be dead just now, or not have said yet where it listens.
            try:
                scrapes.append(Scrape(*accounts(collector)))
            except (httpx.TransportError, IndexError):
                continue

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield scrapes
    finally:
        over.set()
        thread.join()


def test_accounts_balance_at_random_moments(scenario: Scenario) -> None:
    """With poison, copies, a Redis that stands still and is emptied, a collector that is killed, and a rebalance."""
    one, two = scenario.collector(), scenario.collector()
    share(one, two)
    with scraped(one) as ones, scraped(two) as twos:
        with scenario.publishing(stream(1)):
            scenario.note("poison and copies are published")
            scenario.publish_others([*POISON, *map(message, stream(1)[:200])])
            scenario.progress(one)
            scenario.note("SIGSTOP of Redis")
            scenario.redis.pause()
            scenario.wait(lambda: scenario.pending(one) > 0 and scenario.pending(two) > 0, "batches in hand")
            scenario.kill(two)
            scenario.redis.resume()
            two.start()
        scenario.caught_up()
        scenario.note("FLUSHALL")
        with connected(scenario.redis.url) as client:
            client.flushall()
        scenario.publish(stream(2))
        scenario.finish()
    for scrapes in (ones, twos):
        assert len(scrapes) > 20
        assert [scrape for scrape in scrapes if scrape.received != scrape.results + scrape.pending] == []
        assert any(scrape.pending for scrape in scrapes)
    assert [scrape.received for scrape in ones] == sorted(scrape.received for scrape in ones)
    assert {scrapes[-1].pending for scrapes in (ones, twos)} == {0}
