"""The local stack: the whole system on one machine, started in order, watched, and stopped in order."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import httpx

from replog.cancellation import cancel_and_wait
from replog.errors import FatalError
from replog.settings import KafkaSettings, load
from replog_local import embedded_redis
from replog_local.addresses import Addresses
from replog_local.places import dialled, free_port
from replog_local.processes import Children

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog_local.places import DataFolder

#: The topic of outcomes, unless another is set.
OUTCOMES_TOPIC = "replication.task.outcomes"
REDIS_PORT = 6379
COLLECTOR_PORT = 9464
#: How long one process may take until it answers.
START_DEADLINE_S = 60.0
POLL_INTERVAL_S = 0.05
PROBE_TIMEOUT_S = 2.0
#: Seconds in which starting and watching end once they are cancelled.
CANCEL_S = 1.0
#: Seconds in which at least one more of the workers' last events has to be applied, or the rest is given up.
APPLY_STALL_S = 10.0
#: Seconds until the status line has ended.
FOLLOW_STOP_S = 3.0
#: Sources of work first, what others depend on last.
STOP_ORDER = ("workers", "collector", "api", "broker", "redis")


@dataclass(frozen=True)
class Plan:
    """Options of ``replog up``; the data folder is locked, the API's port was free."""

    data: DataFolder
    api_host: str
    api_port: int
    demo: bool
    #: Nobody balances requests between local services: Ctrl-C need not wait, unless that was set.
    api_drain_s: float = 0.0


class Reporter(Protocol):
    """Output of a running stack: what it says to the user."""

    def ready(self, addresses: Addresses) -> None:
        """Say where each part is. Called once all of them are ready."""

    async def follow(self, addresses: Addresses) -> None:
        """Say what happens, until it is cancelled."""

    def stopping(self) -> None:
        """Say that the stop has begun."""

    def not_applied(self) -> None:
        """Say that some of the workers' last events are not applied."""


async def run(plan: Plan, reporter: Reporter) -> None:
    """Start the stack, report when all of it is ready, and stop it on SIGINT or SIGTERM.

    Raises:
        FatalError: a process did not start, or ended unasked (ChildDied); the others are stopped by then.
    """
    children = Children(plan.data.logs, os.environ)
    serving = asyncio.create_task(_serve(plan, children, reporter), name="local stack")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await asyncio.wait([serving])
    finally:
        await cancel_and_wait([serving], timeout_s=CANCEL_S)
        await children.stop(STOP_ORDER)
    if serving.done() and not serving.cancelled():
        serving.result()


async def _serve(plan: Plan, children: Children, reporter: Reporter) -> None:
    addresses = await _start(plan, children)
    reporter.ready(addresses)
    following = asyncio.create_task(reporter.follow(addresses), name="status line")
    try:
        await children.death()
    finally:
        await cancel_and_wait([following], timeout_s=FOLLOW_STOP_S)
        reporter.stopping()
        if plan.demo and not children.one_died:
            await children.stop(["workers"])
            # The broker keeps them in memory only.
            if not await _applied(addresses, datetime.now(UTC)):
                reporter.not_applied()


async def _applied(addresses: Addresses, published: datetime) -> bool:
    """Whether all events published up to then have been applied, once nothing is applied any more."""
    from replog_local import figures  # noqa: PLC0415 - of an extra

    async with httpx.AsyncClient(timeout=PROBE_TIMEOUT_S) as client:
        return await figures.wait_until_applied(client, addresses, published, APPLY_STALL_S)


async def _start(plan: Plan, children: Children) -> Addresses:
    kafka = load(KafkaSettings)
    redis_port, collector_port = free_port(REDIS_PORT), free_port(COLLECTOR_PORT)
    await _start_redis(plan, children, redis_port)
    addresses = Addresses(
        api_url=f"http://{dialled(plan.api_host, plan.api_port)}",
        collector_url=f"http://127.0.0.1:{collector_port}",
        kafka=await _start_broker(children, kafka),
        topic=kafka.kafka_topic,
        outcomes_topic=outcomes_topic(kafka),
        redis_url=f"redis://127.0.0.1:{redis_port}/0",
    )
    environment = _environment(plan, addresses, collector_port)
    await children.start("collector", _module("replog_collector.main"), environment)
    # Neither needs the other, and the collector's first assignment takes the broker seconds.
    await children.start("api", _module("replog_api.main"), environment)
    await _until(lambda: _is_ready(addresses.collector_url), "the collector", children)
    await _until(lambda: _is_ready(addresses.api_url), "the query service", children)
    if plan.demo:
        await children.start("workers", _module("replog_local.workers"), environment)
    return addresses


async def _start_redis(plan: Plan, children: Children, port: int) -> None:
    await children.start("redis", embedded_redis.redis_command(port, plan.data.redis.absolute()), {})
    await _until(lambda: embedded_redis.answers(port), "Redis", children)


async def _start_broker(children: Children, kafka: KafkaSettings) -> str:
    topics = (kafka.kafka_topic, kafka.dead_letter_topic, outcomes_topic(kafka))
    command = _module("replog_local.embedded_broker", *topics)
    return await children.start_and_read_line("broker", command, {})


def outcomes_topic(kafka: KafkaSettings) -> str:
    """The topic of outcomes, which are always published here."""
    return kafka.kafka_outcomes_topic or OUTCOMES_TOPIC


def _environment(plan: Plan, addresses: Addresses, collector_port: int) -> dict[str, str]:
    return {
        "REPLOG_KAFKA_BOOTSTRAP_SERVERS": addresses.kafka,
        "REPLOG_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "REPLOG_KAFKA_OUTCOMES_TOPIC": addresses.outcomes_topic,
        "REPLOG_REDIS_URL": addresses.redis_url,
        # As if it were not set: a secret is in one place.
        "REPLOG_REDIS_URL_FILE": "",
        "REPLOG_COLLECTOR_HOST": "127.0.0.1",
        "REPLOG_COLLECTOR_PORT": str(collector_port),
        "REPLOG_API_HOST": plan.api_host,
        "REPLOG_API_PORT": str(plan.api_port),
        "REPLOG_API_DRAIN_S": str(plan.api_drain_s),
    }


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


async def _until(condition: Callable[[], bool], name: str, children: Children) -> None:
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            while not await asyncio.to_thread(condition):
                children.check()
                await asyncio.sleep(POLL_INTERVAL_S)
    except TimeoutError:
        raise FatalError(f"{name} did not answer within {START_DEADLINE_S:g} s") from None


def _is_ready(url: str) -> bool:
    return _body(url, "/readyz") is not None


def _body(url: str, path: str) -> str | None:
    """The body of a good answer; None without one."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
