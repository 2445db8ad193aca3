"""The choice of outcomes that a notifier posts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from replog.outcomes import STATUS_OF

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloudevents.core.base import BaseCloudEvent


class Selection(NamedTuple):
    """Outcomes with one of ``statuses`` (empty: all), of tasks whose key begins with ``task_prefix``."""

    statuses: Collection[str] = ()
    task_prefix: str = ""

    def admits(self, event: BaseCloudEvent) -> bool:
        """Whether ``event`` is to be posted. What is no outcome is not."""
        status = STATUS_OF.get(event.get_type())
        if status is None or (self.statuses and status not in self.statuses):
            return False
        return str(event.get_extension("partitionkey") or "").startswith(self.task_prefix)
