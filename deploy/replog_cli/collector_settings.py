"""The settings of commands that read Kafka: the collectors' own."""

from __future__ import annotations

import logging

from replog.settings import CollectorSettings, load


def collector_settings() -> CollectorSettings:
    """The settings from the environment. Raises SettingsError."""
    # The error that ends a command contains what the client logs about the broker.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return load(CollectorSettings)
