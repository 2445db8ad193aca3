"""A notifier as a process: built, run until it is asked to stop, and shut down."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from replog.errors import SettingsError
from replog.settings import secret, variable
from replog.telemetry import logger
from replog_collector.shutdown import Shutdown
from replog_collector.topics.group_reader import GroupReader
from replog_repair.notifying.notifier import Notifier
from replog_repair.notifying.signature import key_of
from replog_repair.notifying.webhook import Webhook, is_exposed, shown_url

if TYPE_CHECKING:
    from replog.settings import NotifySettings
    from replog_repair.notifying.selection import Selection


class Options(NamedTuple):
    """The options of ``replog notify``; ``url`` is one that can be posted to."""

    url: str
    selection: Selection
    group: str
    strict: bool
    timeout_s: float


class NotifierProcess:
    """One notifier.

    Raises:
        SettingsError: the topic of outcomes is not set, the group is that of the collectors, or the secret is wrong.
    """

    def __init__(self, settings: NotifySettings, options: Options) -> None:
        topic = settings.kafka_outcomes_topic
        if topic is None:
            raise SettingsError(f"{variable('kafka_outcomes_topic')} is not set; allowed: the topic of outcomes")
        if options.group == settings.kafka_group_id:
            raise SettingsError(f"--group {options.group} is wrong: the collectors' group; allowed: one of its own")
        self._settings = settings
        self._options = options
        self._topic = topic
        self._key = secret(settings, "notify_secret", key_of)
        self._shutdown = Shutdown()

    async def run(self) -> None:
        """Post outcomes until SIGTERM or SIGINT.

        Raises:
            OutcomeRefused: the receiver refused one, and the notifier is strict.
        """
        self._log_start()
        options = self._options
        key = self._key
        webhook = Webhook(options.url, key=lambda: key.value if key else None, timeout_s=options.timeout_s)
        reader = GroupReader(self._settings, self._topic, options.group)
        notifier = Notifier(reader, webhook, options.selection, strict=options.strict)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, notifier)
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(webhook)
            opened.push_async_callback(self._shutdown.leave, group=reader.stop)
            await self._shutdown.work(notifier.run(), name="notifier")
        logger().info("stopped")

    def _stop(self, notifier: Notifier) -> None:
        logger().info("stopping")
        self._shutdown.request()
        notifier.stop()

    def _log_start(self) -> None:
        url = shown_url(self._options.url)
        if is_exposed(self._options.url):
            logger().warning("webhook_exposed", url=url)
        if self._key is None:
            logger().warning("webhook_unsigned", url=url)
        logger().info(
            "started",
            kafka=self._settings.kafka_bootstrap_servers,
            topic=self._topic,
            group=self._options.group,
            url=url,
        )
