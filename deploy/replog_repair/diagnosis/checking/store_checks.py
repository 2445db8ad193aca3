"""Verdicts about Redis, the user's rights there, and the store under the prefix. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from replog.settings import variable
from replog.store.client.rights import COLLECTOR, QUERY_SERVICE
from replog.store.client.versions import LEAST_VERSION, is_too_old
from replog_repair.diagnosis.checking.checks import Area
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from replog.store.client.server_state import ServerState
    from replog_repair.diagnosis.checking.checks import Check
    from replog_repair.diagnosis.lag import GroupLag
    from replog_repair.diagnosis.observations import Observations, StoreObservation

REDIS = Area("redis")
#: Seconds of one small call from which reads and merges are slow, and from which a query service gives up.
SLOW_S, HOPELESS_S = 0.01, 1.2
#: Share of the memory from which it is nearly full.
NEARLY_FULL = 0.9
#: Seconds by which clocks may differ.
CLOCK_LIMIT_S = 2.0
_SEE_REDIS = "see docs/operations.md, Redis"


def store_checks(observed: Observations) -> Iterator[Check]:
    """All checks of Redis and the store."""
    store = observed.store
    if isinstance(store, Unknown):
        advice = f"start Redis, or set {variable('redis_url')}"
        if store.kind == "incompatible":
            advice = "as the message says"
        elif store.kind == "noperm":
            advice = "add these rules to the user's access list (docs/operations.md, Access lists)"
        yield REDIS.failed("server", store.message, advice)
        return
    yield _server_check(store)
    yield from _version_checks(store.states)
    yield from _role_checks(store.states)
    yield _persistence_check(store)
    yield _eviction_check(store.states)
    yield from _memory_checks(store.states)
    yield from _latency_checks(store.latencies_s)
    yield from _rights_checks(store)
    yield from _layout_checks(store)
    yield from _checkpoint_checks(observed, store)
    yield _clock_check(store.clocks_ahead_s)


def _server_check(store: StoreObservation) -> Check:
    masters = len(store.states)
    return REDIS.passed("server", f"{store.url} answers" + (f", with {masters} masters" if masters > 1 else ""))


def _version_checks(states: Sequence[ServerState]) -> Iterator[Check]:
    versions = ", ".join(sorted({state.version for state in states}))
    if any(is_too_old(state.version) for state in states):
        least = ".".join(map(str, LEAST_VERSION))
        yield REDIS.failed("version", f"Redis {versions}", f"upgrade it to {least} or later")
    else:
        yield REDIS.passed("version", f"Redis {versions}")


def _role_checks(states: Sequence[ServerState]) -> Iterator[Check]:
    if any(state.role not in {"", "master"} for state in states):
        advice = f"it takes no writes; set {variable('redis_url')} to the master, or name the Sentinels"
        yield REDIS.failed("role", "the server is a replica", advice)


def _persistence_check(store: StoreObservation) -> Check:
    if any(state.persistence_failed for state in store.states):
        advice = "look at Redis' log and its disk: what it acknowledges now is not kept"
        return REDIS.failed("persistence", "the last write of the append-only file or of a snapshot failed", advice)
    if any(state.append_only is None for state in store.states):
        return REDIS.warned("persistence", "could not be determined: INFO has no section persistence", _SEE_REDIS)
    if not all(state.append_only for state in store.states):
        return REDIS.warned("persistence", _without_file(store.settings), f"set appendonly yes: {_SEE_REDIS}")
    if "no" in store.settings.get("appendfsync", ()):
        advice = "a power failure loses some half a minute of writes; set appendfsync everysec"
        return REDIS.warned("persistence", "the append-only file is on, with appendfsync no", advice)
    return REDIS.passed("persistence", "the append-only file is on")


def _without_file(settings: Mapping[str, Sequence[str | None]]) -> str:
    snapshots = settings.get("save", ())
    if not snapshots or None in snapshots:
        return "the append-only file is off; whether there are snapshots could not be determined (CONFIG GET is denied)"
    if "" in snapshots:
        return "neither append-only file nor snapshots: a restart of Redis loses everything"
    return "the append-only file is off: a restart of Redis goes back to its last snapshot"


def _eviction_check(states: Sequence[ServerState]) -> Check:
    policies = ", ".join(sorted({state.eviction or "?" for state in states}))
    if any(state.evicts for state in states):
        advice = "a full Redis removes keys, and answers are then wrong; set maxmemory-policy noeviction"
        return REDIS.warned("eviction", f"maxmemory-policy is {policies}", advice)
    if any(state.eviction is None for state in states):
        return REDIS.warned("eviction", "could not be determined: INFO has no maxmemory_policy", _SEE_REDIS)
    return REDIS.passed("eviction", f"maxmemory-policy is {policies}")


def _memory_checks(states: Sequence[ServerState]) -> Iterator[Check]:
    shares = [
        (state.used_bytes, limit)
        for state in states
        if state.used_bytes is not None and (limit := state.limit_bytes or state.machine_bytes)
    ]
    if not shares:
        return
    used, limit = max(shares, key=lambda pair: pair[0] / pair[1])
    found = f"{used / 1e6:,.0f} MB of {limit / 1e6:,.0f} MB used"
    if used >= limit:
        yield REDIS.failed("memory", found, "Redis refuses writes, and collectors wait: give it more memory")
    elif used >= NEARLY_FULL * limit:
        yield REDIS.warned("memory", found, "give Redis more memory, or shorten the retention")
    else:
        yield REDIS.passed("memory", found)


def _latency_checks(latencies_s: Sequence[float]) -> Iterator[Check]:
    if not latencies_s:
        return
    usual, slowest = median(latencies_s), max(latencies_s)
    found = f"a small call takes {usual * 1000:.1f} ms, the slowest of {len(latencies_s)} {slowest * 1000:.1f} ms"
    if usual >= HOPELESS_S:
        yield REDIS.failed("latency", found, "query services give up by then: look at the network and Redis' CPU")
    elif usual >= SLOW_S:
        advice = f"place Redis near the services, and give it a core of its own: {_SEE_REDIS}"
        yield REDIS.warned("latency", found, advice)
    else:
        yield REDIS.passed("latency", found)


def _rights_checks(store: StoreObservation) -> Iterator[Check]:
    missing = store.missing_rights
    if isinstance(missing, Unknown):
        yield REDIS.untold("rights", missing, "see docs/operations.md, Access lists")
        return
    reading = {right.rule for right in QUERY_SERVICE}
    writing = {right.rule for right in COLLECTOR} - reading
    of_query_service = [rule for rule in missing if rule not in writing]
    if of_query_service:
        yield _lacks("rights.query-service", of_query_service)
    else:
        yield REDIS.passed("rights.query-service", "the user has every right that a query service needs")
    if not missing:
        yield REDIS.passed("rights.collector", "the user has every right that a collector needs")
    elif set(missing) == writing:
        found = "the user can read only, as that of a query service should"
        yield REDIS.warned("rights.collector", found, "run this with a collector's settings to check its user")
    else:
        yield _lacks("rights.collector", list(missing))


def _lacks(name: str, rules: Sequence[str]) -> Check:
    advice = "add these rules to the user's access list (docs/operations.md, Access lists)"
    return REDIS.failed(name, f"the user lacks {' '.join(rules)}", advice)


def _layout_checks(store: StoreObservation) -> Iterator[Check]:
    layouts = store.layouts
    if isinstance(layouts, Unknown):
        yield REDIS.untold("layout", layouts, "see the checks of the rights")
    elif layouts:
        yield REDIS.passed("layout", f"the prefix {store.prefix} has layout and version {', '.join(layouts)}")
    else:
        yield REDIS.passed("layout", f"the prefix {store.prefix} is empty: the first collector sets the layout")


def _checkpoint_checks(observed: Observations, store: StoreObservation) -> Iterator[Check]:
    checkpoints = observed.checkpoints
    if isinstance(checkpoints, Unknown):
        yield REDIS.untold("checkpoints", checkpoints, "see the checks of the rights")
        return
    lag = None if isinstance(observed.kafka, Unknown) else observed.kafka.lag
    lag = None if isinstance(lag, Unknown) else lag
    if lag and (missing := _without_checkpoint(lag)):
        found = f"the prefix {store.prefix} has no checkpoints of the partitions {missing}, which {lag.group} has read"
        advice = (
            "the topic will be read again from its first event. If that is not intended, compare "
            f"{variable('redis_prefix')}, {variable('redis_url')} and {variable('kafka_group_id')} with the collectors'"
        )
        yield REDIS.warned("checkpoints", found, advice)
    elif store.has_data is True and not checkpoints:
        found = f"the prefix {store.prefix} has records, and no checkpoints of this group and topic"
        advice = f"compare {variable('kafka_group_id')} and {variable('kafka_topic')} with the collectors'"
        yield REDIS.warned("checkpoints", found, advice)
    elif checkpoints:
        yield REDIS.passed("checkpoints", f"the prefix {store.prefix} has those of {len(checkpoints)} partitions")
    else:
        yield REDIS.passed("checkpoints", "none yet: no collector has read the topic")


def _without_checkpoint(lag: GroupLag) -> list[int]:
    return [
        partition.number
        for partition in lag.partitions
        if partition.committed is not None and partition.position is None
    ]


def _clock_check(clocks_ahead_s: Sequence[float | None]) -> Check:
    known = [ahead_s for ahead_s in clocks_ahead_s if ahead_s is not None]
    if not known:
        return REDIS.warned(
            "clock", "could not be determined: INFO has no server_time_usec", "compare the clocks yourself"
        )
    ahead_s = max(known, key=abs)
    found = f"its clock differs from this machine's by {ahead_s:+.3f} s"
    if abs(ahead_s) > CLOCK_LIMIT_S:
        return REDIS.warned("clock", found, "one of the clocks is wrong: look at NTP")
    return REDIS.passed("clock", found)
