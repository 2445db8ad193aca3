"""Every verdict of ``replog doctor``, from observations alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from replog.environment import Notice
from replog.store.client.rights import COLLECTOR, QUERY_SERVICE
from replog_collector.topics.descriptions import GroupDescription, Member, PartitionOffsets
from replog_repair.diagnosis.checking.checks import worst
from replog_repair.diagnosis.unknown import Unknown
from replog_repair.diagnosis.verdicts import diagnose
from tests.support.observations import (
    DAY_MS,
    EVENTS,
    GROUP,
    LETTERS,
    NOW_MS,
    OUTCOMES,
    STATE,
    api,
    group_lag,
    kafka,
    observations,
    settings,
    store,
    topic,
)

if TYPE_CHECKING:
    from replog_repair.diagnosis.observations import Observations

DENIED = Unknown("denied", "not for you")
UNAVAILABLE = Unknown("unavailable", "nobody there")
READING = {right.rule for right in QUERY_SERVICE}
WRITING = [right.rule for right in COLLECTOR if right.rule not in READING]


def verdicts(observed: Observations) -> dict[str, str]:
    """What is not passed, by area and name."""
    return {f"{check.area} {check.name}": check.verdict for check in diagnose(observed) if check.verdict != "pass"}


def of_kafka(**changed: Any) -> Observations:
    return observations(kafka=kafka(**changed))


def of_topics(events: Any = None, letters: Any = None) -> Observations:
    return of_kafka(topics={EVENTS: events or topic(), LETTERS: letters or topic(LETTERS, 1)})


def of_settings(events: Any = None, letters: Any = None) -> Observations:
    usual = {EVENTS: settings(), LETTERS: settings(max_message_bytes=2_097_152)}
    return of_kafka(settings={EVENTS: events or usual[EVENTS], LETTERS: letters or usual[LETTERS]})


def of_store(**changed: Any) -> Observations:
    return observations(store=store(**changed))


def of_state(**changed: Any) -> Observations:
    return of_store(states=[STATE, replace(STATE, **changed)])


def test_where_nothing_is_wrong_every_check_passes() -> None:
    checks = diagnose(observations())
    assert worst(checks) == "pass"
    assert {check.area for check in checks} == {"kafka", "redis", "api", "settings"}
    assert all(check.found and not check.advice for check in checks)


def test_names_are_unique_and_whatever_is_not_passed_says_what_to_do() -> None:
    broken = observations(
        kafka=kafka(settings={EVENTS: DENIED, LETTERS: settings(max_message_bytes=1)}, lag=UNAVAILABLE),
        store=store(missing_rights=["+get"], clocks_ahead_s=[60.0]),
        api=UNAVAILABLE,
    )
    checks = diagnose(broken)
    assert len({(check.area, check.name) for check in checks}) == len(checks)
    assert all(check.advice for check in checks if check.verdict != "pass")
    assert worst(checks) == "fail"


def test_a_dead_server_is_one_failure_and_the_others_are_checked() -> None:
    dead = observations(kafka=UNAVAILABLE, store=UNAVAILABLE, checkpoints=UNAVAILABLE, api=UNAVAILABLE)
    assert verdicts(dead) == {"kafka brokers": "fail", "redis server": "fail", "api ready": "fail"}
    assert "settings names" in {f"{check.area} {check.name}" for check in diagnose(dead)}


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (of_kafka(topics={EVENTS: topic()}, settings={}), {"kafka dead-letters.topic": "fail"}),
        (of_kafka(topics={}, settings={}, lag=Unknown("missing", "-")), dict.fromkeys(
            ["kafka events.topic", "kafka dead-letters.topic"], "fail")),
        (of_topics(topic(led=False)), {"kafka events.topic": "fail"}),
        (of_topics(topic(partitions=1)), {"kafka events.topic": "warn"}),
        (of_topics(topic(number=3, in_step=2)), {"kafka events.replication": "warn"}),
        (of_topics(topic(number=1, in_step=1)), {
            "kafka events.replication": "warn", "kafka events.min-insync": "fail"}),
        (of_topics(topic(number=3, in_step=1)), {
            "kafka events.replication": "warn", "kafka events.min-insync": "fail"}),
        (of_topics(topic(number=2, in_step=2)), {"kafka events.min-insync": "warn"}),
        (of_topics(letters=topic(LETTERS, 1, 1, 1)), {
            "kafka dead-letters.replication": "warn", "kafka dead-letters.min-insync": "fail"}),
        (of_settings(settings(min_insync_replicas=1)), {"kafka events.min-insync": "warn"}),
        (of_settings(settings(max_message_bytes=1_048_588)), {"kafka events.message-size": "warn"}),
        (of_settings(letters=settings(max_message_bytes=1_114_112)), {"kafka dead-letters.message-size": "warn"}),
        (of_settings(letters=settings(max_message_bytes=100)), {"kafka dead-letters.message-size": "fail"}),
        (of_settings(settings(max_message_bytes=4_194_304)), {"kafka dead-letters.message-size": "warn"}),
        (of_settings(settings(retention_ms=7 * DAY_MS)), {"kafka events.retention": "warn"}),
        (of_settings(settings(retention_ms=-1)), {}),
        (of_settings(settings(retention_bytes=10_000)), {"kafka events.retention": "warn"}),
        (of_settings(settings(cleanup_policy="compact,delete")), {"kafka events.cleanup": "warn"}),
        (of_settings(DENIED), {"kafka events.settings": "warn"}),
        (of_settings(UNAVAILABLE), {"kafka events.settings": "fail"}),
    ],
)  # fmt: skip
def test_topics(observed: Observations, expected: dict[str, str]) -> None:
    assert verdicts(observed) == expected


def of_outcomes(described: Any = None, set_up: Any = None) -> Observations:
    usual = kafka()
    topics = usual.topics if described is None else {**usual.topics, OUTCOMES: described}
    known = usual.settings if set_up is None else {**usual.settings, OUTCOMES: set_up}
    return of_kafka(outcomes_topic=OUTCOMES, topics=topics, settings=known)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (of_outcomes(topic(OUTCOMES, 1), settings()), {}),
        (of_outcomes(), {"kafka outcomes.topic": "fail"}),
        (of_outcomes(topic(OUTCOMES, led=False), settings()), {"kafka outcomes.topic": "fail"}),
        (of_outcomes(topic(OUTCOMES, 1, 1, 1), settings(min_insync_replicas=1)), {
            "kafka outcomes.replication": "warn"}),
        (of_outcomes(topic(OUTCOMES), settings(min_insync_replicas=1)), {"kafka outcomes.min-insync": "warn"}),
        (of_outcomes(topic(OUTCOMES), settings(max_message_bytes=65_536)), {}),
        (of_outcomes(topic(OUTCOMES), settings(max_message_bytes=65_535)), {"kafka outcomes.message-size": "warn"}),
        (of_outcomes(topic(OUTCOMES), settings(max_message_bytes=2000)), {"kafka outcomes.message-size": "fail"}),
        (of_outcomes(topic(OUTCOMES), settings(max_message_bytes=None)), {}),
        (of_outcomes(topic(OUTCOMES), DENIED), {"kafka outcomes.settings": "warn"}),
    ],
)  # fmt: skip
def test_the_topic_of_outcomes(observed: Observations, expected: dict[str, str]) -> None:
    assert verdicts(observed) == expected


def test_without_outcomes_their_topic_is_not_checked() -> None:
    assert not [check for check in diagnose(observations()) if check.name.startswith("outcomes")]


BEHIND = PartitionOffsets(0, 10, 4)


@pytest.mark.parametrize(
    ("lag", "expected"),
    [
        (group_lag(BEHIND), {}),
        (group_lag(BEHIND, oldest_ms=NOW_MS - 5_000), {}),
        (group_lag(BEHIND, oldest_ms=NOW_MS - 61_000), {"kafka lag": "warn"}),
        (group_lag(description=GroupDescription("Dead", ())), {"kafka group": "warn"}),
        (group_lag(BEHIND, description=GroupDescription("Empty", ())), {"kafka group": "fail"}),
        (group_lag(description=replace(GROUP, state="PreparingRebalance")), {"kafka group": "warn"}),
        (group_lag(description=replace(GROUP, members=GROUP.members[:1])), {"kafka group": "fail"}),
        (group_lag(description=replace(GROUP, members=(*GROUP.members, *[Member("x", "h", ())] * 3))), {
            "kafka group": "warn"}),
        (group_lag(PartitionOffsets(7, 10, 4)), {"kafka lost": "fail"}),
        (group_lag(checkpoints=UNAVAILABLE), {"kafka lag": "warn", "redis checkpoints": "fail"}),
        (group_lag(description=Unknown("unsupported", "-")), {"kafka group": "warn"}),
        (group_lag(description=UNAVAILABLE), {"kafka group": "fail"}),
        (DENIED, {"kafka lag": "warn"}),
        (UNAVAILABLE, {"kafka lag": "fail"}),
    ],
)  # fmt: skip
def test_group_and_lag(lag: Any, expected: dict[str, str]) -> None:
    checkpoints = {0: 10} if isinstance(lag, Unknown) else lag.checkpoints
    assert verdicts(observations(kafka=kafka(lag=lag), checkpoints=checkpoints)) == expected


@pytest.mark.parametrize(("newest_ms", "expected"), [(None, {}), (NOW_MS + 60_000, {"kafka clock": "warn"})])
@pytest.mark.parametrize(("stamped", "whose"), [("CreateTime", "a publisher"), ("LogAppendTime", "a broker")])
def test_a_message_from_the_future(newest_ms: Any, expected: dict[str, str], stamped: str, whose: str) -> None:
    """Only the stamp says whose clock it is: no request asks a broker for its time."""
    usual = kafka()
    observed = of_kafka(newest_ms=newest_ms, settings={**usual.settings, EVENTS: settings(timestamp_type=stamped)})
    assert verdicts(observed) == expected
    assert all(whose in check.advice for check in diagnose(observed) if check.verdict == "warn")


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (of_state(version="6.0.16"), {"redis version": "fail"}),
        (of_state(role="slave"), {"redis role": "fail"}),
        (of_state(append_only=False), {"redis persistence": "warn"}),
        (of_state(append_only=None), {"redis persistence": "warn"}),
        (of_state(persistence_failed=True), {"redis persistence": "fail"}),
        (of_store(settings={"appendfsync": ["no"]}), {"redis persistence": "warn"}),
        (of_state(eviction="allkeys-lru"), {"redis eviction": "warn"}),
        (of_state(eviction=None), {"redis eviction": "warn"}),
        (of_state(used_bytes=91), {"redis memory": "warn"}),
        (of_state(used_bytes=45, limit_bytes=50), {"redis memory": "warn"}),
        (of_state(used_bytes=50, limit_bytes=50), {"redis memory": "fail"}),
        (of_state(used_bytes=None), {}),
        (of_store(latencies_s=[0.001, 0.02, 0.03]), {"redis latency": "warn"}),
        (of_store(latencies_s=[2.0]), {"redis latency": "fail"}),
        (of_store(latencies_s=[]), {}),
        (of_store(missing_rights=["+hset"]), {"redis rights.collector": "fail"}),
        (of_store(missing_rights=["+hget", "+hset"]), {
            "redis rights.collector": "fail", "redis rights.query-service": "fail"}),
        (of_store(missing_rights=["~replog:*"]), {
            "redis rights.collector": "fail", "redis rights.query-service": "fail"}),
        (of_store(missing_rights=WRITING), {"redis rights.collector": "warn"}),
        (of_store(missing_rights=UNAVAILABLE), {"redis rights": "fail"}),
        (of_store(layouts=[], has_data=False), {}),
        (of_store(layouts=Unknown("noperm", "-")), {"redis layout": "warn"}),
        (of_store(clocks_ahead_s=[0.0, -3.0]), {"redis clock": "warn"}),
        (of_store(clocks_ahead_s=[None]), {"redis clock": "warn"}),
        (observations(checkpoints={}, kafka=kafka(lag=group_lag(checkpoints={}))), {"redis checkpoints": "warn"}),
        (observations(checkpoints={}, kafka=UNAVAILABLE), {"redis checkpoints": "warn", "kafka brokers": "fail"}),
        (observations(checkpoints=Unknown("noperm", "-")), {"redis checkpoints": "warn"}),
        (observations(store=Unknown("incompatible", "layout 2")), {"redis server": "fail"}),
        (observations(store=Unknown("noperm", "the user lacks +info")), {"redis server": "fail"}),
    ],
)  # fmt: skip
def test_store(observed: Observations, expected: dict[str, str]) -> None:
    assert verdicts(observed) == expected


def test_a_new_installation_has_no_checkpoints_and_that_is_no_warning() -> None:
    """The group has committed nothing, and the prefix is empty."""
    new = group_lag(PartitionOffsets(0, 0, None), checkpoints={})
    observed = observations(checkpoints={}, kafka=kafka(lag=new), store=store(layouts=[], has_data=False))
    assert verdicts(observed) == {}


def test_missing_rights_are_named() -> None:
    (check,) = [check for check in diagnose(of_store(missing_rights=["+hset", "+zadd"])) if check.verdict == "fail"]
    assert "+hset +zadd" in check.found


def found_of(observed: Observations, name: str) -> str:
    return next(check.found for check in diagnose(observed) if check.name == name)


@pytest.mark.parametrize(
    ("save", "said"),
    [([None], "could not be determined"), ([""], "loses everything"), (["3600 1"], "last snapshot")],
)
def test_without_an_append_only_file_snapshots_decide_what_is_lost(save: list[Any], said: str) -> None:
    states = [replace(STATE, append_only=False)]
    assert said in found_of(of_store(states=states, settings={"save": save}), "persistence")


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (api(ready_status=503, ready_text="redis: timeout"), {"api ready": "fail"}),
        (api(ready_status=404), {"api ready": "fail"}),
        (api(version="0.2.0"), {"api version": "warn"}),
        (api(version=Unknown("refused", "-")), {"api version": "warn"}),
        (api(clock_ahead_s=-10), {"api clock": "warn"}),
        (api(clock_ahead_s=None), {}),
        (UNAVAILABLE, {"api ready": "fail"}),
    ],
)
def test_query_service(observed: Any, expected: dict[str, str]) -> None:
    assert verdicts(observations(api=observed)) == expected


def test_settings() -> None:
    notices = [
        Notice("setting_ignored", "REPLOG_API_PORT", "tcp://10.0.0.1:80"),
        Notice("setting_unknown", "REPLOG_REDIS_URI", "REPLOG_REDIS_URL"),
        Notice("setting_unknown", "REPLOG_X", ""),
    ]
    observed = observations(notices=notices)
    assert set(verdicts(observed).values()) == {"warn"}
    assert [check.advice for check in diagnose(observed) if check.area == "settings"][1:] == [
        "did you mean REPLOG_REDIS_URL?",
        "remove it",
    ]
