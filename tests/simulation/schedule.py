"""A schedule: everything that decides how a simulation goes, made of a seed and written out, so that it can be changed.

The same schedule always goes the same way. Shortening one takes faults and messages out of it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.simulation.workload import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Collection

#: Seconds in which messages are published, and in which faults begin.
PUBLISHING_S, TROUBLED_S = 4.0, 6.0
#: Messages of one schedule.
MESSAGES = 2000

#: What may go wrong, in plain words, and the range of seconds that it lasts.
KINDS: dict[str, tuple[str, float, float]] = {
    "kill": ("{collector} is killed, and started again", 0.05, 4.0),
    "freeze": ("{collector} stands still for {lasts}, as after SIGSTOP", 0.5, 25.0),
    "stop": ("{collector} is asked to stop, and started again", 0.05, 4.0),
    "rebalance": ("the group begins a rebalance", 0.0, 0.0),
    "kafka away": ("no Kafka broker answers for {lasts}", 0.05, 15.0),
    "commits fail": ("the group's coordinator answers no commit for {lasts}", 0.5, 15.0),
    "leaderless": ("no partition has a leader for {lasts}", 0.1, 6.0),
    "answers lost": ("answers to producers get lost for {lasts}", 0.1, 3.0),
    "client hangs": ("the Kafka client of {collector} hangs for {lasts}", 0.5, 15.0),
    "client fails": ("the Kafka client of {collector} raises the same error for ever", 0.0, 0.0),
    "client dies": ("a background task of the Kafka client of {collector} ends", 0.0, 0.0),
    "grow": ("the topic gets one more partition", 0.0, 0.0),
    "control": ("an aborted transaction is written behind the messages of each partition", 0.0, 0.0),
    "transaction": ("a transaction stands open in partition {number} for {lasts}", 0.1, 8.0),
    "unreadable": ("a message comes to partition {number} that cannot be read", 0.0, 0.0),
    "retention": ("Kafka deletes the older half of partition {number}", 0.0, 0.0),
    "anew": (
        "the topic is deleted and made anew, and is filled again after {lasts} and once that was noticed",
        0.0,
        3.0,
    ),
    "redis hangs": ("Redis {number} answers nothing for {lasts}, and does it all the same", 0.1, 14.0),
    "redis away": ("Redis {number} takes no connection for {lasts}", 0.05, 8.0),
    "redis full": ("Redis {number} refuses writes for lack of memory for {lasts}", 0.1, 8.0),
    "redis denies": ("Redis {number} denies rights for {lasts}", 0.1, 8.0),
    "redis replica": ("Redis {number} is a replica for {lasts}", 0.1, 4.0),
    "redis loses": ("Redis {number} fails over, without the last {number_of_calls} calls that it took", 0.0, 0.0),
    "redis older": ("Redis {number} is away for {lasts}, and comes back without {number_of_calls} calls", 0.1, 5.0),
}
#: Those that delete messages that may not have been read: what they were is lost, and nobody's fault.
_RARE = ("retention", "grow")
#: Part of all schedules in which the topic is made anew, beside all other faults: what was in it is judged no longer.
_ANEW_SHARE = 0.05
#: How many faults a schedule has; one of these.
_HOW_MANY = (0, 1, 2, 2, 3, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: when, which kind, for how long, and to which of several, by a number to choose it."""

    at_s: float
    kind: str
    lasts_s: float
    number: int

    def words(self, **names: object) -> str:
        """What happens, in plain words."""
        return KINDS[self.kind][0].format(**names)


@dataclass(frozen=True)
class Schedule:
    """What decides how a simulation goes."""

    seed: int
    faults: tuple[Fault, ...]
    workload: int
    partitions: int
    collectors: int
    servers: int
    messages: int = MESSAGES
    #: Numbers of the messages that are published; None for all.
    kept: frozenset[int] | None = None
    #: Part of the messages that publishers of this project send; others come from other clients.
    published_share: float = 0.05
    #: Whether collectors publish outcomes.
    outcomes: bool = False
    #: Whether Redis drivers may answer a cancellation with an error of their own, as some do that meet it.
    swallows: bool = False

    def with_faults(self, faults: Collection[Fault]) -> Schedule:
        """The same with other faults."""
        return replace(self, faults=tuple(faults))

    def with_messages(self, kept: Collection[int]) -> Schedule:
        """The same with some of the messages."""
        return replace(self, kept=frozenset(kept))


def schedule_of(seed: int, *, messages: int = MESSAGES) -> Schedule:
    """The schedule of a seed."""
    chance = random.Random(f"schedule {seed}")
    # Of all that may go wrong, each schedule has some kinds: too many at once hide each other.
    kinds = [kind for kind in KINDS if kind != "anew" and (kind not in _RARE or chance.random() < 0.3)]
    kinds = chance.sample(kinds, chance.randrange(1, 7))
    # Troubles seldom come alone: most begin about the same time as another.
    moments = [chance.random() * TROUBLED_S for _ in range(chance.choice([1, 1, 2, 3, 6]))]
    faults = [_fault(chance, chance.choice(kinds), moments) for _ in range(chance.choice(_HOW_MANY))]
    # Drawn apart, so that all else is as it is without.
    apart = random.Random(f"topic of schedule {seed}")
    if apart.random() < _ANEW_SHARE:
        faults.append(_fault(apart, "anew", moments))
    return Schedule(
        seed,
        tuple(sorted(faults, key=lambda fault: fault.at_s)),
        workload=seed % WORKLOADS,
        partitions=chance.choice([1, 2, 3, 4]),
        collectors=chance.choice([1, 1, 2, 2, 3]),
        servers=chance.choice([1, 1, 2, 3]),
        messages=messages,
        published_share=chance.choice([0.0, 0.02, 0.05]),
        outcomes=chance.random() < 0.5,
        swallows=chance.random() < 0.5,
    )


def _fault(chance: random.Random, kind: str, moments: list[float]) -> Fault:
    _, least_s, most_s = KINDS[kind]
    # Most are short.
    lasts_s = least_s + (most_s - least_s) * chance.random() ** 2
    at_s = min(TROUBLED_S, chance.choice(moments) + chance.choice([0.01, 0.1, 1.0]) * chance.random())
    return Fault(round(at_s, 4), kind, round(lasts_s, 3), chance.randrange(1 << 16))
