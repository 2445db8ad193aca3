"""The records of which a fold takes events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog.events import Event


class Selection:
    """All records, or those with these ids; with ``task_key`` also those that an event names with that task."""

    def __init__(self, record_ids: Iterable[str] | None = None, *, task_key: str | None = None) -> None:
        self._ids = None if record_ids is None else {*record_ids}
        self._task_key = task_key
        self._late: set[str] = set()

    def takes(self, event: Event) -> bool:
        """Whether ``event`` is of a selected record, or selects its record."""
        if self._ids is None or event.record_id in self._ids:
            return True
        if self._task_key is None or event.task_key != self._task_key:
            return False
        self._ids.add(event.record_id)
        self._late.add(event.record_id)
        return True

    def close(self) -> set[str]:
        """The records that events have selected: earlier events of theirs were not taken.

        From now on no further record is selected. Those that begin later are not verified.
        """
        late, self._late, self._task_key = self._late, set(), None
        return late
