"""The diagnosis: verdicts on observations. Pure: the same observations give the same verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog_repair.diagnosis.checking.kafka_checks import kafka_checks
from replog_repair.diagnosis.checking.service_checks import api_checks, settings_checks
from replog_repair.diagnosis.checking.store_checks import store_checks

if TYPE_CHECKING:
    from replog_repair.diagnosis.checking.checks import Check
    from replog_repair.diagnosis.observations import Observations


def diagnose(observed: Observations) -> list[Check]:
    """All checks, by area."""
    return [check for checks in (kafka_checks, store_checks, api_checks, settings_checks) for check in checks(observed)]
