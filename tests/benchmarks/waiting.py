"""How long processes waited for their core: what others on the machine add to a figure, by Linux's own account."""

from __future__ import annotations

from pathlib import Path

#: Below this, a wait is what any wake-up takes.
QUIET_S = 0.0001


class Waiting:
    """Watches the main threads of some processes."""

    def __init__(self, *pids: int) -> None:
        self._files = [Path(f"/proc/{pid}/schedstat") for pid in pids]

    def seconds(self) -> float:
        """Seconds that they were ready to run and did not, all together, since they began."""
        # Time on the core, time waiting for it (nanoseconds), turns.
        return sum(int(file.read_text(encoding="ascii").split()[1]) for file in self._files) / 1e9
