"""The story of one simulation: who did what when, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.loop import BEGIN_S, PROCESS

if TYPE_CHECKING:
    from tests.simulation.loop import SimulatedLoop

_TEXTS = {
    "partitions_assigned": "gets partitions {partitions}",
    "backing_off": "backs off for {delay_s} s: {error}",
    "store_rewound": "finds that the store lost writes, and goes back from {positions} to {begins}",
    "commit_failed": "cannot commit: {error}",
    "client_replaced": "replaces its Kafka client",
    "batch_unfinished": "gives its partitions up with a batch unfinished",
    "checkpoints_missing": "finds no checkpoints of partitions {partitions}",
    "offsets_skipped": "finds that Kafka deleted offsets {first} to {last} of partition {partition}",
    "offsets_reset": "finds its position {position} in partition {partition} beyond the end {end}",
    "dead_letter": "dead-letters offset {offset} of partition {partition}: {reason}",
    "recovered": "goes on",
}


class Story:
    """Lines of what happened, each with its time and who did it."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._lines: list[tuple[float, str, str]] = []
        #: Whether the simulation is over: what its processes still do then is no part of it.
        self.over = False

    def tell(self, who: str, what: str) -> None:
        """Add a line."""
        if not self.over:
            self._lines.append((self._loop.now_s - BEGIN_S, who, what))

    def __len__(self) -> int:
        return len(self._lines)

    def __str__(self) -> str:
        return "\n".join(f"{at_s:9.4f} s  {who}: {what}" for at_s, who, what in self._lines)


class StoryLogger:
    """The product's logs, as lines of the story; see :class:`replog.telemetry.Logger`."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def info(self, action: str, /, **fields: object) -> None:
        text = _TEXTS.get(action)
        words = text.format(**fields) if text else " ".join([action, *(f"{name}={fields[name]}" for name in fields)])
        process = PROCESS.get(None)
        self._story.tell(process.name if process else "?", words)

    warning = error = info
