"""The metrics of both services, with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

import replog_api.metrics
import replog_collector.metrics

if TYPE_CHECKING:
    from types import ModuleType


def metrics_of(*modules: ModuleType) -> dict[str, list[str]]:
    """The metrics that ``modules`` define, with their labels."""
    values = [value for module in modules for value in vars(module).values()]
    found = [value for value in values if hasattr(value, "collect") and not isinstance(value, type | CollectorRegistry)]
    return {name: labels for metric in found for name, labels in _exported(metric).items()}


def _exported(metric: Any) -> dict[str, list[str]]:
    if hasattr(metric, "LABELS"):
        return dict(metric.LABELS)
    (family,) = metric.collect()
    name = f"{family.name}_total" if family.type == "counter" else str(family.name)
    return {name: list(getattr(metric, "_labelnames", ()))}


#: The labels of each metric.
ALL_METRICS = metrics_of(replog_collector.metrics, replog_api.metrics)
