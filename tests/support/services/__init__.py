"""The servers that tests run against: chosen, started, killed, restarted and stopped.

`REPLOG_TEST_KAFKA` and `REPLOG_TEST_REDIS` name the way; an explicit choice never falls back to another.
"""

from __future__ import annotations

#: How long one step of looking for a way to get a server may take.
PROBE_TIMEOUT_S = 20.0


class ServiceUnavailableError(Exception):
    """This way of getting a server does not work on this machine; the message says why."""
