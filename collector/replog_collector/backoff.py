"""Capped exponential back-off with jitter."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

#: The longest wait after a first failure, in seconds.
FIRST_BACKOFF_S = 0.1


@dataclass(slots=True)
class Backoff:
    """Delays that double from ``first_s`` to ``cap_s``, each shortened at random by up to a half.

    The jitter keeps collectors that lost the same server from coming back all at once.
    """

    first_s: float = FIRST_BACKOFF_S
    cap_s: float = 10.0
    chance: Random = field(default_factory=Random)
    failures: int = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        # The exponent is capped too: after a long outage the power would overflow.
        delay = min(self.cap_s, self.first_s * float(2 ** min(self.failures, 30)))
        self.failures += 1
        return delay * (1 - self.chance.random() / 2)

    def reset(self) -> bool:
        """Start over after a success; returns whether there was a failure before."""
        failed = self.failures > 0
        self.failures = 0
        return failed
