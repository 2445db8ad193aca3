"""The store on a real Redis, driven by random steps: every read is what the oracle answers.

Limits are so small that few details make searches take every way there is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import count, cycle
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from replog.errors import StoreUnavailable
from replog.events import MAX_INTEGER, DetailStarted, Progress, Tally
from replog.fields import DETAIL
from replog.records import MS_BIAS, facts_of, last_ms, progress_of, start_ms
from replog.settings import StoreSettings
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.client.scripts import ENLIST
from replog.store.format import detail_codec
from replog.store.format.detail_codec import TIME_BYTES, head_of
from replog.store.format.index_entries import placement_of, split_pair, sums_of
from replog.store.format.keys import RecordKeys
from replog.store.format.short_ids import short_of
from replog.store.maintain.restoring import Restoring
from replog.store.maintain.retention import Policy, Retention
from replog.store.maintain.staleness import Pace, Staleness
from replog.store.read.details import detail_search, facets, match_survey, page_by_name, page_by_rank, page_by_scan
from replog.store.read.reader import READ_LIMITS, Reader
from replog.store.read.tasks.task_pages import Tasks
from replog.store.write.writer import Limits, Writer
from replog.times import TimeUs
from replog_api.http.query_values import DetailPageQuery
from replog_api.queries.render import overview
from replog_repair.copying.copier import copy
from replog_repair.copying.store_ends import StoreDestination, StoreOrigin
from tests.support.model import DETAIL_FACTS, EPOCH, Model, _us
from tests.support.services.redis import remove_keys
from tests.support.services.redis_acl import url_as_operator
from tests.support.store.answers import RENDERER, loads, shown, shown_details, without_stale
from tests.support.store.batches import batch_of
from tests.support.store.indexes import assert_indexes_agree, indexed, to_be_indexed
from tests.support.store.limits import read_limits
from tests.support.strategies import (
    DETAIL_IDS,
    RECORD_IDS,
    TASK_KEYS,
    Event,
    detail_facts,
    events,
    outcomes,
    progresses,
    reasons,
    texts,
    times,
)
from tests.support.topic import KnownEvents
from tests.support.verification import unexpected

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Sequence

    from replog.store.client.pipelining import CommandRunner

Filters = dict[str, str]
#: The codes of a detail's facts in the store.
DETAIL_CODES = {field.name: field.code for field in DETAIL if field.code}
T = TypeVar("T")

UNKNOWN = "unknown"
#: An offset that no result reaches.
FAR = 2**31 * 1000
STATUSES = ("RUNNING", "SUCCESS", "FAILED")
#: The facts that each kind of name is made of.
NAMES = {
    "package": ("packageName", "packageKey"),
    "path": ("path",),
    "artifact": ("artifactName",),
    "version": ("version",),
}
#: The filters, and the facts they look at.
SAID = {
    "status": ("status",),
    "clusterName": ("remoteCluster",),
    "repoName": ("repoName",),
    "packageName": NAMES["package"],
    "path": NAMES["path"],
    "artifactName": NAMES["artifact"],
    "version": NAMES["version"],
    "remoteCluster": ("remoteCluster",),
    "localRepoName": ("repoName",),
}
#: Of these the whole text is asked for, as a rule.
EXACT = {"version", "remoteCluster", "localRepoName"}
#: Texts to filter by: one that details have, one that begins others, one that none has.
OTHERS = ("a\x01", "a", "unknown")
TIMEOUT_S = 10.0
DAY_MS = 86_400_000
POLICY = Policy(days=1, failed_days=2)
KEPT_LONGEST_DAYS = 2
#: Those of the machines that begin by hand.
WRITER_LIMITS, PACE = Limits(), Pace(rests=0)
SETTLED_MS = 60_000
#: When everything is written: before most events, or after them, or before or after all.
WRITTEN = ("2021-05-12T12:19:08Z", "2021-05-12T12:19:10Z", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z")
#: How often another writer dies first.
DYING = 0.3
#: Runs of the machine in the test that is the same each time.
STEADY_EXAMPLES = 100
#: What the runs have to reach: the planner's strategies; of pages by rank pairs that are read in parts, and cluster by
#: cluster, glimpses that have the page, the counting, both ways to read, and reading back from a mark; of broad names
#: the second reading, and that of all where the sample misled; scans that stop early; of conditions beside the first
#: those that are joined, also part by part, asked and checked, and pairs that come first; sweeps that remove.
WAYS = {
    *("status", "pairs", "names", "scan"),
    *("parts", "by clusters", "glimpsed", "counted", "walked", "fetched", "back"),
    *("enclosed", "drawn", "all", "stopped", "removed"),
    *("joined", "in parts", "asked", "checked", "by heads", "remembered"),
}

limits = st.fixed_dictionaries(
    {
        "search.narrow": st.integers(0, 2),
        "search.scan.detail_costs": st.sampled_from((0.1, 1, 4)),
        "search.step": st.integers(1, 4),
        "search.scan.step": st.integers(1, 4),
        "search.facets.few_fields": st.sampled_from((15, 1000)),
        "search.facets.pairs_a_call": st.integers(1, 4),
        "search.facets.few_clusters": st.sampled_from((0, 1, 2, 200)),
        "search.rank.heads_a_call": st.integers(1, 4),
        "search.rank.step": st.integers(1, 4),
        "search.rank.calls_at_once": st.integers(1, 3),
        "search.rank.fetched_a_call": st.integers(1, 6),
        "search.names.entries_a_call": st.integers(1, 4),
        "search.names.entries_at_once": st.integers(1, 3),
        "step": st.integers(1, 4),
    }
)
writer_limits = st.builds(Limits, entities_a_call=st.integers(1, 4), calls_at_once=st.integers(1, 4))
paces = st.builds(Pace, step=st.integers(1, 4), rests=st.just(0))
record_ids = st.sampled_from((*RECORD_IDS, *RECORD_IDS, UNKNOWN))
#: More than a record is listed under, in between those of other events.
MANY_TASKS = tuple(f"{'st'[i % 2]}{i:02}" for i in range(20))
task_keys = st.sampled_from((*TASK_KEYS * 4, *MANY_TASKS, UNKNOWN))
#: Many within few milliseconds, so that starts are near and equal, beside those far away.
near_times = st.integers(0, 30).map("2021-05-12T12:19:08.{:03}Z".format)
moments = near_times | near_times | times
facts = st.fixed_dictionaries({}, optional=detail_facts)
#: What details are found by, each in a pair.
placed_facts = st.fixed_dictionaries(
    {"remoteCluster": texts, "repoName": texts},
    optional={name: detail_facts[name] for names in NAMES.values() for name in names} | {"version": texts},
)
#: Seeds of choices among what is there by then; Hypothesis would make too many filters that nothing meets.
chances = st.randoms(use_true_random=True)
endings = st.fixed_dictionaries(outcomes, optional=reasons)
#: More details than fit a page.
detail_ids = st.sampled_from(DETAIL_IDS) | st.integers(0, 19).map("d{}".format)


def _of_many(event: Event, detail_id: str, moment: str) -> Event:
    return {**event, "eventTime": moment} | ({"detailId": detail_id} if "detailId" in event else {})


many_events = st.lists(st.builds(_of_many, events, detail_ids, moments), min_size=1, max_size=12)


def near_text(chance: Random, name: str, text: str | None) -> str:
    """The text, a prefix of it, or another that may exist or not; for None mostly no filter."""
    if chance.random() < 0.15:
        return chance.choice(OTHERS)
    ends = (None, None, 1) if name in EXACT else (1, 2, None)
    # A prefix of a key is one from its scheme on.
    ends = (6, 7, None) if name == "packageName" and text and "://" in text else ends
    return text[: chance.choice(ends)] if text else ""


def said(chance: Random, name: str, known: Event) -> str | None:
    """What one of the facts that the filter looks at says, if any does."""
    told = [known[fact] for fact in SAID[name] if fact in known]
    return chance.choice(told) if told else None


def near_filters(chance: Random, known: Event) -> Filters:
    """Any mix of filters, most of which a detail with these facts and status meets."""
    names = chance.sample(list(SAID), chance.choice((0, 1, 1, 2, 2, 3, len(SAID))))
    texts = {name: said(chance, name, known) for name in names}
    found = {name: near_text(chance, name, text) for name, text in texts.items()}
    # A status is no text of which there are prefixes.
    return found | ({"status": texts["status"] or chance.choice(STATUSES)} if "status" in texts else {})


class Cut(NamedTuple):
    """How a result is cut into pages: all of ``limit`` rows but the first, if that is shorter."""

    limit: int
    first: int

    def pages(self, total: int) -> list[tuple[int, int]]:
        """Offsets and limits, also of pages behind the end."""
        begin = [(0, self.first)] if self.first else []
        return begin + [(offset, self.limit) for offset in (*range(self.first, total + self.limit, self.limit), FAR)]


cuts = st.builds(Cut, st.integers(1, 5) | st.just(1000), st.integers(0, 3))


class Dying:
    """The store, for a writer that dies after some ``runs``.

    ``unsent`` are the calls that it would have sent next.
    """

    def __init__(self, connection: Connection, runs: int) -> None:
        self.prefix = connection.prefix
        self.unsent: list[Command] = []
        self._connection = connection
        self._runs = runs

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """As the connection, while it lives."""
        self._runs -= 1
        if self._runs >= 0:
            return await self._connection.run(calls)
        self.unsent += [call for call in calls if call.command is ENLIST]
        raise StoreUnavailable("connection", "dead")


class Indexes(NamedTuple):
    """What a record's indexes hold, or have to; ``counts`` are those fields of its hash that are not 0."""

    by_status: set[bytes]
    by_pair: set[bytes]
    by_name: set[bytes]
    counts: dict[bytes, bytes]


class StoreMachine(RuleBasedStateMachine):
    """Writes and reads one store, with keys of its own; ``events`` is what the oracle knows.

    A rule that makes the store forget takes the forgotten out of ``events`` and adds their records to ``unchecked``;
    ``batches`` remember everything that was written, for replays.
    """

    batches: Bundle[list[Event]] = Bundle("batches")

    def __init__(self, redis_url: str, prefix: str) -> None:
        super().__init__()
        self.redis_url = redis_url
        self.limits = READ_LIMITS
        self.runner = asyncio.Runner()
        #: The store's place, and another one; neither begins as the other, for what begins so is removed with it.
        self.prefixes = [f"{prefix}a", f"{prefix}b"]
        self.open(self.prefixes[0])
        self.events: list[Event] = []
        self.model = Model([])
        self.unchecked: set[str] = set()
        #: Of records that retention removed: when their last event was, in ms, and when it counted as.
        self.removed: dict[str, tuple[int, int]] = {}
        #: Of erased records: up to which time, in us.
        self.erased: dict[str, int] = {}
        #: What the writers' clock shows, in ms, and what decides who writes.
        self.written_ms = 0
        self.chance = Random(0)
        self.writers: list[Writer] = []
        #: Calls that a writer which died had yet to send, and sends after all.
        self.late: list[Command] = []
        self.absent: set[str] = set()

    def teardown(self) -> None:
        """Leave nothing open, and no keys."""
        try:
            self.run(self.connection.__aexit__(None, None, None))
        finally:
            self.runner.close()
            for prefix in self.prefixes:
                remove_keys(self.redis_url, prefix)

    def open(self, prefix: str) -> None:
        """Connect to the store under ``prefix``."""
        self.connection = Connection(StoreSettings(redis_url=self.redis_url, redis_prefix=prefix), timeout_s=TIMEOUT_S)
        self.reader = Reader(self.connection, self.limits)
        self.tasks = Tasks(self.connection)

    def run(self, waiting: Coroutine[Any, Any, T]) -> T:
        """The result, from the machine's own event loop."""
        return self.runner.run(waiting)

    def merge(self, written: list[Event], erasures: Sequence[Event] = ()) -> list[Event]:
        """Merge the events as one batch, without the facts that details of this run never have, and with erasures."""
        for erasure in erasures:
            until_us = _us(erasure["eventTime"])
            self.erased[erasure["recordId"]] = max(until_us, self.erased.get(erasure["recordId"], until_us))
        told = self.told(written)
        batch = [{name: value for name, value in event.items() if name not in self.absent} for event in told]
        self.run(self.merged([*batch, *erasures]))
        for record_id in {event["recordId"] for event in batch if self.is_newer(event)}:
            self.removed.pop(record_id, None)
        self.events += [event for event in batch if event not in self.events and event["recordId"] not in self.removed]
        self.events = [event for event in self.events if not self.is_erased(event)]
        self.model = Model(self.events)
        self.unchecked |= {event["recordId"] for event in (*batch, *erasures)}
        return batch

    async def merged(self, batch: list[Event]) -> None:
        """Merge by either of two writers; it may be that another had begun to, and died, and may be not at once."""
        if self.chance.random() < DYING:
            dying = Dying(self.connection, self.chance.randrange(4))
            with contextlib.suppress(StoreUnavailable):
                await self.writer_over(dying).merge(batch_of(batch))
            self.late += dying.unsent
        await self.chance.choice(self.writers).merge(batch_of(batch))
        if self.chance.random() < DYING:
            await self.connection.run(self.late)
            self.late.clear()

    def writer_over(self, connection: CommandRunner) -> Writer:
        """A writer by the writers' clock."""
        return Writer(connection, clock=self.clock, limits=self.writer_limits)

    def clock(self) -> float:
        """The writers' clock, in seconds."""
        return self.written_ms / 1000

    def told(self, written: list[Event]) -> list[Event]:
        """The events, but of a removed record either what is newer than that, or where nothing is all of them.

        A record comes back with the calls that bring something newer; which events are in one call is the writer's.
        """
        back = {event["recordId"] for event in written if self.is_newer(event)}
        return [event for event in written if event["recordId"] not in back or self.is_newer(event)]

    def is_newer(self, event: Event) -> bool:
        """Whether the event's record was not removed, or the event would bring it back."""
        removed = self.removed.get(event["recordId"])
        return removed is None or (time_ms(event) > removed[0] and not self.is_erased(event))

    def is_erased(self, event: Event) -> bool:
        """Whether the event is of a record that is erased up to its time or a later one."""
        until_us = self.erased.get(event["recordId"])
        return until_us is not None and _us(event["eventTime"]) <= until_us

    def existing(self, chance: Random, *, kinds: tuple[str, ...] = ("record", "detail")) -> Event:
        """A record or detail that was written: its ids and highest attempt."""
        events = [event for event in self.events if kind_of(event) in kinds]
        # By kind first, for there are many more details than records.
        kind = chance.choice(sorted({kind_of(event) for event in events}))
        entity = entity_of(chance.choice([event for event in events if kind_of(event) == kind]))
        attempts = (event.get("attempt", 0) for event in self.events if entity_of(event) == entity)
        return {**entity, "attempt": max(attempts)}

    @initialize(
        limits=limits,
        writer_limits=writer_limits,
        pace=paces,
        absent=st.sets(st.sampled_from(sorted(NAMES)), max_size=2),
        written=st.sampled_from(WRITTEN),
    )
    def begin(
        self,
        limits: dict[str, float],
        absent: set[str],
        written: str = WRITTEN[0],
        writer_limits: Limits = WRITER_LIMITS,
        pace: Pace = PACE,
    ) -> None:
        """Set the limits, when everything is written, and the kinds of names that no detail has.

        The last decides what the index by name is good for.
        """
        self.written_ms = _us(written) // 1000
        self.writer_limits, self.pace = writer_limits, pace
        self.writers = [self.writer_over(self.connection) for _ in range(2)]
        self.limit(limits)
        self.absent = {fact for kind in absent for fact in NAMES[kind]}

    def limit(self, limits: dict[str, float]) -> None:
        """Set limits of the reader, beside those set before."""
        self.limits = read_limits(limits, self.limits)
        self.reader = Reader(self.connection, self.limits)

    @initialize(chance=chances)
    def vary(self, chance: Random) -> None:
        """Choose what decides between ways; at random, for Hypothesis would mostly take the first of each."""
        self.chance = Random(chance.random())
        choices: dict[str, tuple[float, ...]] = {
            "search.rank.deviations": (0, 2.5),
            "search.rank.head_costs": (0, 1, 3, 30),
            "search.rank.near": (0, 1, 3),
            "search.names.newest": (0, 0, 1, 4),
            "search.names.kept": (1, 1, 3),
            "search.costs.asking": (0.1, 100),
            "search.costs.value": (0.1, 1, 100, 100),
            "search.costs.head": (0.1, 100),
            "search.names.margin": (0, 1, 4),
            "search.names.sampled": (0.3, 1),
            "search.names.drawn": (1, 3),
            "search.names.remembered_cost": (0, 0, 1000),
            "remembered": (0, 3, 100),
        }
        self.limit({name: chance.choice(limits) for name, limits in choices.items()})

    @rule(target=batches, written=many_events)
    def write(self, written: list[Event]) -> list[Event]:
        """A batch of anything."""
        return self.merge(written)

    @rule(
        target=batches,
        record_id=st.sampled_from(RECORD_IDS),
        size=st.integers(4, 20),
        starts=st.lists(st.tuples(moments, placed_facts), min_size=2, max_size=6),
        ended=st.integers(0, 4),
    )
    def write_many(self, record_id: str, size: int, starts: list[tuple[str, Event]], ended: int) -> list[Event]:
        """Many details that have much in common; the first ones end."""
        started = [
            {"type": "detail.started", "recordId": record_id, "detailId": f"d{i}", "eventTime": moment, **facts}
            for i, (moment, facts) in zip(range(size), cycle(starts))
        ]
        finished = {"type": "detail.finished", "status": "SUCCESS"}
        return self.merge(started + [{**event, **finished} for event in started[:ended]])

    @rule(
        target=batches,
        record_id=st.sampled_from(RECORD_IDS),
        keys=st.lists(st.sampled_from(MANY_TASKS), min_size=1, max_size=12),
        moment=moments,
        verb=st.sampled_from(["started", "progressed"]),
    )
    def list_under(self, record_id: str, keys: list[str], moment: str, verb: str) -> list[Event]:
        """A record is published with more task keys than it is listed under."""
        event = {"type": f"record.{verb}", "recordId": record_id, "eventTime": moment}
        return self.merge([{**event, "taskKey": key} for key in keys])

    @precondition(lambda self: any(kind_of(event) == "detail" for event in self.events))
    @rule(target=batches, chance=chances, moment=moments, facts=facts, higher=st.integers(0, 1))
    def move(self, chance: Random, moment: str, facts: Event, higher: int) -> list[Event]:
        """A detail gets other facts: it moves between pairs and names."""
        detail = self.existing(chance, kinds=("detail",))
        attempt = min(detail["attempt"] + higher, MAX_INTEGER)
        return self.merge([{**detail, **facts, "type": "detail.started", "attempt": attempt, "eventTime": moment}])

    @precondition(lambda self: self.events)
    @rule(target=batches, chance=chances, moment=moments, ending=endings)
    def finish(self, chance: Random, moment: str, ending: Event) -> list[Event]:
        """A record or detail ends."""
        entity = self.existing(chance)
        return self.merge([{**entity, **ending, "type": f"{kind_of(entity)}.finished", "eventTime": moment}])

    @precondition(lambda self: self.events)
    @rule(
        target=batches,
        chance=chances,
        moment=moments,
        verb=st.sampled_from(["started", "progressed", "finished"]),
        ending=endings,
        progress=progresses,
    )
    def retry(self, chance: Random, moment: str, verb: str, ending: Event, progress: Event) -> list[Event]:
        """A record or detail is tried again, whichever event of the new attempt comes first."""
        entity = self.existing(chance)
        said = {"started": {}, "progressed": {"progress": progress}, "finished": ending}[verb]
        attempt = min(entity["attempt"] + 1, MAX_INTEGER)
        event = {**entity, **said, "type": f"{kind_of(entity)}.{verb}", "attempt": attempt, "eventTime": moment}
        return self.merge([event])

    @rule(batch=batches, backwards=st.booleans())
    def replay(self, batch: list[Event], *, backwards: bool) -> None:
        """Old events come again."""
        self.merge(batch[::-1] if backwards else batch)

    @precondition(lambda self: self.events)
    @rule(
        chance=chances,
        by_us=st.sampled_from((-1, 0, 1, 10**6)),
        written=many_events | st.just([]),
        again=st.booleans(),
    )
    def erase(self, chance: Random, by_us: int, written: list[Event], *, again: bool) -> None:
        """A record is erased up to about the time of some event, amid others; what is later is read again."""
        event = chance.choice(self.events)
        until = EPOCH + timedelta(microseconds=_us(event["eventTime"]))
        if EPOCH.replace(year=1) < until < EPOCH.replace(year=9999):
            until += timedelta(microseconds=by_us)
        erasure = {"type": "record.erased", "recordId": event["recordId"], "eventTime": until.isoformat()}
        known = [*self.events]
        self.merge(written, [erasure] * (1 + again))
        later = [each for each in known if not self.is_erased(each)]
        self.run(Restoring(self.connection, KnownEvents(later), ahead_s=0, clock=self.clock).restore())

    @precondition(lambda self: self.events)
    @rule(chance=chances, days=st.sampled_from((1, 2, 3, 9)))
    def sweep(self, chance: Random, days: int) -> None:
        """Retention comes by so many days after some event."""
        now_ms = time_ms(chance.choice(self.events)) + days * DAY_MS + 1
        last_ms: dict[str, int] = {}
        for event in self.events:
            last_ms[event["recordId"]] = max(last_ms.get(event["recordId"], -(10**18)), time_ms(event))
        # No event counts as later than when it was written; and what was written just now stays.
        due_ms = {i: min(last, self.written_ms) for i, last in last_ms.items()}
        settled = self.written_ms < now_ms - SETTLED_MS
        gone = {i for i, due in due_ms.items() if settled and due < now_ms - self.kept_days(i) * DAY_MS}
        self.late.clear()
        assert self.run(Retention(self.connection, POLICY, clock=lambda: now_ms / 1000).sweep()) == len(gone)
        self.removed |= {i: (last_ms[i], due_ms[i]) for i in gone}
        forgotten_ms = now_ms - 2 * KEPT_LONGEST_DAYS * DAY_MS
        self.removed = {i: both for i, both in self.removed.items() if both[1] > forgotten_ms}
        if self.written_ms <= now_ms - POLICY.erasures_kept_ms:
            self.erased.clear()
        self.events = [event for event in self.events if event["recordId"] not in gone]
        self.model = Model(self.events)
        self.unchecked |= gone

    @precondition(lambda self: self.events)
    @rule(cut_off=st.booleans())
    def move_to_a_copy(self, *, cut_off: bool) -> None:
        """A copy takes the place of the store, which is gone; it may be cut off before, and run again."""
        self.late.clear()
        self.run(self.connection.__aexit__(None, None, None))
        old = StoreSettings(redis_url=url_as_operator(self.redis_url), redis_prefix=self.connection.prefix)
        self.prefixes.reverse()
        self.open(self.prefixes[0])
        for dies in (cut_off, False):
            with contextlib.suppress(StoreUnavailable):
                self.run(self.copied(old, dies=dies))
        remove_keys(self.redis_url, old.redis_prefix)
        self.writers = [self.writer_over(self.connection) for _ in range(2)]
        self.unchecked |= {*self.model.record_ids}

    async def copied(self, old: StoreSettings, *, dies: bool) -> None:
        """Copy the store ``old`` by the writers' clock; it may be to a store that dies."""
        new = Dying(self.connection, self.chance.randrange(200)) if dies else self.connection
        destination = StoreDestination(
            new, origin="old", epoch=lambda: self.connection.epoch, clock=lambda: self.written_ms / 1000
        )
        async with Connection(old, timeout_s=TIMEOUT_S) as connection:
            origin = StoreOrigin(connection, identity="old", unreadable=unexpected)
            await copy(origin, destination, progress=lambda *_: None)

    def kept_days(self, record_id: str) -> int:
        """How long a record is kept after its last event."""
        entity = self.model._records.get(record_id)
        return {"SUCCESS": 1, "FAILED": 2}.get(entity.outcome()["status"], KEPT_LONGEST_DAYS) if entity else 2

    @precondition(lambda self: any(kind_of(event) == "detail" for event in self.events))
    @rule(chance=chances, cut=cuts)
    def read_details(self, chance: Random, cut: Cut) -> None:
        """All pages of details, by some mixes of filters or none."""
        for _ in range(4):
            aim = self.existing(chance, kinds=("detail",))
            filters = near_filters(chance, self.said_of(aim["recordId"], aim["detailId"]))
            self.check_details(aim["recordId"], filters, cut)

    @precondition(lambda self: any(kind_of(event) == "detail" for event in self.events))
    @rule(chance=chances, cut=cuts)
    def read_by_one_name(self, chance: Random, cut: Cut) -> None:
        """All pages of the details that share the beginning of one name, of any status or one."""
        aim = self.existing(chance, kinds=("detail",))
        known = self.said_of(aim["recordId"], aim["detailId"])
        for name in ("packageName", "path", "artifactName"):
            text = next((known[fact] for fact in SAID[name] if known.get(fact)), "a")
            status = {"status": known["status"]} if chance.random() < 0.3 else {}
            self.check_details(aim["recordId"], {name: text[:1]} | status, cut)

    @precondition(lambda self: any(kind_of(event) == "detail" for event in self.events))
    @rule(chance=chances, cut=cuts)
    def read_by_several_names(self, chance: Random, cut: Cut) -> None:
        """All pages of the details that share all names of one, or their beginnings."""
        aim = self.existing(chance, kinds=("detail",))
        known = self.said_of(aim["recordId"], aim["detailId"])
        texts = {name: said(chance, name, known) or "" for name in ("packageName", "path", "artifactName", "version")}
        start_offsets = {name: text[: None if name in EXACT else 1] for name, text in texts.items()}
        places = {"clusterName": known.get("remoteCluster", "")[:1]} if chance.random() < 0.3 else {}
        for name in texts:
            self.check_details(aim["recordId"], {**start_offsets, name: ""} | places, cut)
        self.check_details(aim["recordId"], start_offsets | places, cut)

    @rule(chance=chances, cut=cuts)
    def read_any_details(self, chance: Random, cut: Cut) -> None:
        """Pages of all records, whether they have details or not, by filters from nowhere."""
        for record_id in (UNKNOWN, *RECORD_IDS):
            self.check_details(record_id, near_filters(chance, {}), cut)

    @rule(task_key=task_keys, cut=cuts)
    def read_records(self, task_key: str, cut: Cut) -> None:
        """All pages of a task's records, of each status and of all."""
        for status in ("", *STATUSES):
            self.check_records(task_key, status, cut)

    @rule(prefix=st.sampled_from(("", "t", "t1", UNKNOWN)), status=st.sampled_from(("", *STATUSES)), cut=cuts)
    def read_tasks(self, prefix: str, status: str, cut: Cut) -> None:
        """All pages of tasks with their latest records; there are no others in the index."""
        rows = self.model.tasks(prefix, status)
        for offset, limit in cut.pages(len(rows)):
            page = self.run(self.tasks.page(prefix, status, offset, limit))
            assert (page.total, shown(page.rows)) == (len(rows), rows[offset : offset + limit]), (offset, limit)
        latest = self.run(self.tasks.latest([*TASK_KEYS, UNKNOWN]))
        assert shown(latest.rows) == self.model.latest([*TASK_KEYS, UNKNOWN])
        assert self.run(indexed(self.connection)) == to_be_indexed(self.model)

    @precondition(lambda self: self.events)
    @rule(chance=chances, silent_s=st.integers(1, 3), later_ms=st.integers(0, 1))
    def count_stale(self, chance: Random, silent_s: int, later_ms: int) -> None:
        """What is stale just as, or just before, some event is long enough ago."""
        now_ms = max(0, time_ms(chance.choice(self.events)) + silent_s * 1000 + later_ms)
        model = Model(self.events, now=EPOCH, stale_after_s=silent_s)
        # Behind the last event that can be dated there is no date any more.
        model.now_us = now_ms * 1000
        ids = sorted(model.record_ids)
        runs = [run["record"] for record_id in ids if record_id in model._records and (run := model.run(record_id))]
        details = [row for record_id in ids for row in model.details(record_id)]
        staleness = Staleness(
            self.connection, stale_after_s=silent_s, clock=lambda: (now_ms + 0.5) / 1000, pace=self.pace
        )
        assert self.run(staleness.records()) == sum(row["stale"] for row in runs)
        assert self.run(staleness.details()) == sum(row["stale"] for row in details)

    @rule(record_id=record_ids)
    def read_record(self, record_id: str) -> None:
        """A record and its roll-up."""
        record, rolled_up = self.run(self.reader.record(record_id)), self.run(self.reader.overview(record_id))
        assert (rolled_up and loads(overview(rolled_up))) == self.model.overview(record_id)
        assert (record is not None) == (record_id in self.model._records)
        if record:
            run = loads(RENDERER.run(record))
            assert {**run, "record": {**run["record"], "stale": None}} == self.model.run(record_id)

    @rule(record_id=record_ids, task_key=task_keys)
    def read_lists(self, record_id: str, task_key: str) -> None:
        """All details of a record, all records of a task."""
        details = self.run(joined(self.reader.details(record_id)))
        assert without_stale(shown_details(details)) == self.model.details(record_id)
        records = self.run(joined(self.reader.records(task_key)))
        assert rendered(RENDERER.record, records) == self.model.records(task_key)

    def said_of(self, record_id: str, detail_id: str) -> Event:
        """Facts and status of a detail."""
        entity = self.model._details[record_id][detail_id]
        return {**entity.facts(DETAIL_FACTS), "status": entity.outcome()["status"]}

    def check_details(self, record_id: str, filters: Filters, cut: Cut) -> None:
        """Require all pages to be what the oracle says."""
        rows, known = self.model.details(record_id, **filters), record_id in self.model.record_ids
        flt = DetailPageQuery.model_validate({"recordId": "r", "pageNumber": 1, "pageSize": 1, **filters}).filter
        for offset, limit in cut.pages(len(rows)):
            page = self.run(self.reader.detail_page(record_id, flt, offset, limit))
            assert (page is not None) == known, (filters, offset, limit)
            if page:
                found = page.total, without_stale(shown_details(page.rows))
                assert found == (len(rows), rows[offset : offset + limit]), (filters, offset, limit)

    def check_records(self, task_key: str, status: str, cut: Cut) -> None:
        """Require all pages to be what the oracle says."""
        rows, known = self.model.records(task_key, status), task_key in self.model.task_keys
        for offset, limit in cut.pages(len(rows)):
            page = self.run(self.reader.record_page(task_key, status, offset, limit))
            assert (page is not None) == known, (offset, limit)
            if page:
                found = page.total, rendered(RENDERER.record, page.rows)
                assert found == (len(rows), rows[offset : offset + limit]), (offset, limit)

    @invariant()
    def indexes_agree(self) -> None:
        """Indexes, counts and sums are exactly those of the details."""
        for record_id in self.unchecked:
            self.run(assert_indexes_agree(self.connection, record_id))
            self.run(assert_indexes_are_of_the_details(self.connection, record_id))
            self.run(assert_listed_as_it_runs(self.connection, record_id))
        self.unchecked.clear()


def time_ms(event: Event) -> int:
    return _us(event["eventTime"]) // 1000


def kind_of(event: Event) -> str:
    return "detail" if "detailId" in event else "record"


def entity_of(event: Event) -> Event:
    """What names the record, with a task, or the detail."""
    return {name: event[name] for name in ("recordId", "taskKey", "detailId") if name in event}


def rendered(render: Callable[[T], bytes], rows: list[T]) -> list[dict[str, Any]]:
    return without_stale([loads(render(row)) for row in rows])


async def joined(steps: AsyncIterator[list[T]]) -> list[T]:
    return [row async for step in steps for row in step]


async def assert_indexes_are_of_the_details(connection: Connection, record_id: str) -> None:
    """Require every entry, count and sum to be what the details' registers say, and no other to exist."""
    keys = RecordKeys(connection.prefix, record_id).all
    details, by_status, pairs, by_pair, by_name, fields = await connection.run(
        [
            Command("HGETALL", [keys[1]]),
            *(Command("ZRANGE", [key], [0, -1]) for key in keys[2:]),
            Command("HGETALL", [keys[0]]),
        ]
    )
    counts = {name: number for name, number in by_twos(fields) if is_count(name) and number.strip(b"0,")}
    numbers = {pair[: -len(number)]: number for pair in pairs for number in split_pair(pair)[-1:]}
    assert len({*numbers.values()}) == len(pairs)
    assert Indexes({*by_status}, {*by_pair}, {*by_name}, counts) == indexes_of(dict(by_twos(details)), numbers)


async def assert_listed_as_it_runs(connection: Connection, record_id: str) -> None:
    """Require its bucket to list it by its last event while it runs, and among the unfinished while a detail does."""
    keys = RecordKeys(connection.prefix, record_id)
    (outcome, last, details), listed, (_, unfinished) = await connection.run(
        [
            Command("HMGET", [keys.record], ["outcome", "last", "nR"]),
            Command("ZSCORE", [keys.bucket.running], [record_id]),
            Command("SSCAN", [keys.bucket.unfinished], [0, "COUNT", 1000]),
        ]
    )
    assert (listed and int(float(listed))) == (last_ms(last) if outcome and outcome.endswith(b"R") else None)
    assert (record_id.encode() in unfinished) == (int(details or 0) > 0)


def by_twos(reply: list[bytes] | dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [*reply.items()] if isinstance(reply, dict) else [*zip(reply[::2], reply[1::2], strict=True)]


#: What a record's hash has beside counts and sums.
_REGISTERS = {b"start", b"facts", b"outcome", b"progress", b"last"}
_NO_COUNTS = _REGISTERS | {b"tasks", b"lists", b"gone", b"ahead", b"pairs", b"v", b"w"}


def is_count(field: bytes) -> bool:
    """Whether this field of a record's hash counts or sums details: ``nX``, ``s1`` or ``fPAIR``."""
    return field not in _NO_COUNTS


def progress_of_event(progress: bytes) -> Progress | None:
    """What an event said that ended in this register."""
    if not progress:
        return None
    said = progress_of(progress)
    blob, node, version = (tally and Tally(**tally._asdict()) for tally in (said.blob, said.node, said.version))
    return Progress(blob=blob, node=node, version=version, total_size=said.total_size)


def indexes_of(details: dict[bytes, bytes], numbers: dict[bytes, bytes]) -> Indexes:
    """What the indexes have to hold of stored ``details``, where ``numbers`` are those of the pairs."""
    indexes, counts = Indexes(set(), set(), set(), {}), Counter[bytes]()
    of_pairs = defaultdict[bytes, list[int]](lambda: [0, 0, 0])
    for detail_id, value in details.items():
        start, facts, outcome, progress, _ = detail_codec.unpack(value)
        known: Any = {name: facts_of(facts).get(letter) for name, letter in DETAIL_CODES.items()}
        event = DetailStarted(record_id="", detail_id="", event_us=TimeUs(0), **known)
        placement = placement_of(event if facts else None)
        number, status = numbers[placement.pair], outcome[-1:]
        time = (start_ms(start) + MS_BIAS).to_bytes(TIME_BYTES, "big")
        tail = time + short_of(detail_id)
        assert head_of(value) == number + status
        indexes.by_status.add(status + time + detail_id)
        indexes.by_pair.add(number + status + tail)
        indexes.by_name.update(status + name + b"\x00" + number + tail for name in placement.names)
        counts.update([b"n" + status])
        of_pairs[b"f" + number][b"RSF".index(status)] += 1
        for i, sum_ in enumerate(sums_of(placement.conflicts, progress_of_event(progress)), start=1):
            counts[b"s%d" % i] += sum_
    numbers_of_pairs = {name: b"%d,%d,%d" % (*of,) for name, of in of_pairs.items()}
    return indexes._replace(
        counts={name: b"%d" % number for name, number in counts.items() if number} | numbers_of_pairs
    )


def noted_where_found(
    ways: Counter[str], name: str, step: Callable[..., Coroutine[Any, Any, T | None]]
) -> Callable[..., Coroutine[Any, Any, T | None]]:
    """``step``, which counts as a way where it returns something."""

    async def stepped(*arguments: Any) -> T | None:
        found = await step(*arguments)
        ways.update([] if found is None else [name])
        return found

    return stepped


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Of :data:`WAYS`, how often each was taken."""
    ways = Counter[str]()
    page, scan, chosen, join = (
        detail_search.Search.page,
        page_by_scan.ScannedDetails._scan,
        detail_search.Search._ways,
        page_by_name.NameIndex._joined,
    )
    newer, walked, fetched = (
        page_by_rank.RankedDetails._newer,
        page_by_rank.RankedDetails._walked,
        page_by_rank.RankedDetails._fetched,
    )
    between, sweep, glimpsed = page_by_name.NameIndex._between, Retention.sweep, page_by_rank._RankWindow.page

    async def noted_page(self: detail_search.Search, offset: int, limit: int) -> detail_search.SearchResult | None:
        found = await page(self, offset, limit)
        ways.update([found.strategy] if found else [])
        return found

    async def noted_scan(self: page_by_scan.ScannedDetails, *window: int) -> page_by_scan.ScannedPage | None:
        found = await scan(self, *window)
        ways["hopeless" if found is None else "stopped"] += 1
        return found

    async def noted_ways(self: detail_search.Search, *arguments: Any) -> page_by_name.Ways:
        found = await chosen(self, *arguments)
        taken = {
            "joined": found.joined,
            "asked": found.asked,
            "checked": found.admits,
            "by heads": found.driver.is_by_pair,
        }
        ways.update(way for way, is_taken in taken.items() if is_taken)
        return found

    def noted_join(self: page_by_name.NameIndex) -> AsyncGenerator[list[bytes]]:
        ways.update(["in parts"] if self._ways.driver.entries > self._limits.kept else [])
        return join(self)

    def noted(name: str, step: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Coroutine[Any, Any, T]]:
        async def stepped(*arguments: Any) -> T:
            ways[name] += 1
            return await step(*arguments)

        return stepped

    async def noted_between(self: page_by_name.NameIndex, above: bytes, below: bytes) -> tuple[int, list[bytes]]:
        ways["all" if (above, below) == (match_survey.TOP, match_survey.BOTTOM) else "enclosed"] += 1
        return await between(self, above, below)

    async def noted_sweep(self: Retention) -> int:
        removed = await sweep(self)
        ways["removed"] += removed
        return removed

    monkeypatch.setattr(Retention, "sweep", noted_sweep)
    monkeypatch.setattr(detail_search.Search, "page", noted_page)
    monkeypatch.setattr(page_by_scan.ScannedDetails, "_scan", noted_scan)
    monkeypatch.setattr(detail_search.Search, "_ways", noted_ways)
    monkeypatch.setattr(page_by_name.NameIndex, "_joined", noted_join)
    monkeypatch.setattr(page_by_name.NameIndex, "_drawn", noted("drawn", page_by_name.NameIndex._drawn))
    monkeypatch.setattr(Reader, "_remembered_page", noted_where_found(ways, "remembered", Reader._remembered_page))

    def noted_glimpse(self: page_by_rank._RankWindow, offset: int, limit: int) -> list[bytes] | None:
        page = glimpsed(self, offset, limit)
        ways["missed" if page is None else "glimpsed"] += 1
        return page

    monkeypatch.setattr(page_by_rank._RankWindow, "page", noted_glimpse)
    monkeypatch.setattr(facets, "_in_parts", noted("parts", facets._in_parts))
    monkeypatch.setattr(facets, "_of_starts", noted("by clusters", facets._of_starts))
    monkeypatch.setattr(page_by_rank.RankedDetails, "_newer", noted("counted", newer))
    monkeypatch.setattr(page_by_rank.RankedDetails, "_walked", noted("walked", walked))
    monkeypatch.setattr(page_by_rank.RankedDetails, "_fetched", noted("fetched", fetched))
    monkeypatch.setattr(page_by_rank.RankedDetails, "_read_back", noted("back", page_by_rank.RankedDetails._read_back))
    monkeypatch.setattr(page_by_name.NameIndex, "_between", noted_between)
    return ways


@pytest.fixture
def machine_of_its_own(redis_url: str, redis_prefix: str) -> Callable[[], StoreMachine]:
    """Makes machines, each with keys of its own."""
    numbers = count()
    return lambda: StoreMachine(redis_url, f"{redis_prefix}-{next(numbers)}-")


def test_every_way_is_taken_where_it_has_to_be(
    machine_of_its_own: Callable[[], StoreMachine], taken: Counter[str]
) -> None:
    """A sequence that depends on no generator."""
    machine = machine_of_its_own()
    try:
        machine.begin(_READ_LITTLE, set())
        machine.merge([*small_record("r1", "a", at_ms=range(60)), *small_record("r2", "b", at_ms=[7] * 12)])
        machine.merge(small_record("r3", "a", at_ms=range(60), pairs="b" * 30 + "a" * 30))
        machine.merge([*small_record("r4", "a", at_ms=range(100, 160)), *small_record("r4", "b", at_ms=range(30))])
        machine.merge(small_record("r5", "a", at_ms=range(60), pairs="abc", repos=("ab", "ac", "a", "b")))
        for record_id, filters, way, more in WAYS_BY_READ:
            taken.clear()
            machine.limit({**_READ_LITTLE, **more})
            machine.check_details(record_id, filters, Cut(3, 1))
            machine.indexes_agree()
            assert way <= {*taken}, filters
    finally:
        machine.teardown()


def test_what_is_older_than_the_clock_of_computers_is_removed_too(
    machine_of_its_own: Callable[[], StoreMachine],
) -> None:
    """A year before 1970 is a time as any other, for those who write and for those who sweep."""
    machine = machine_of_its_own()
    try:
        machine.begin({}, set(), "0001-01-01T00:00:00Z")
        head = {"recordId": "r1", "taskKey": "t1", "eventTime": "0001-01-01T00:00:00Z"}
        machine.merge([{**head, "type": "record.finished", "status": "SUCCESS"}])
        machine.sweep(Random(0), 1)
        assert set(machine.removed) == {"r1"}
        machine.read_lists("r1", "t1")
    finally:
        machine.teardown()


def small_record(
    record_id: str, path: str, *, at_ms: Iterable[int], pairs: str = "ab", repos: Sequence[str] = ("a",)
) -> list[Event]:
    """Details in some pairs, by turns, two thirds of them with a path, that start at these milliseconds."""
    return [
        {
            "type": "detail.started",
            "recordId": record_id,
            "detailId": f"{path}{i}",
            "remoteCluster": pairs[i % len(pairs)],
        }
        | {"eventTime": f"2021-05-12T12:19:08.{ms:03}Z", "repoName": repos[i % len(repos)]}
        | ({"path": path, "version": "1"} if i % 3 else {"packageName": "p"})
        for i, ms in enumerate(at_ms)
    ]


#: Limits with which all pairs are many.
_MANY_PAIRS: dict[str, float] = {"search.facets.few_fields": 0}
#: Limits with which pages by rank are counted near and read head by head, and broad names are read twice; no way to
#: check what is not joined is cheap.
_READ_LITTLE: dict[str, float] = {
    "search.narrow": 4,
    "search.scan.detail_costs": 1,
    "search.step": 3,
    "search.scan.step": 3,
    "search.names.kept": 100,
    "search.costs.asking": 10,
    "search.costs.value": 10,
    "search.costs.head": 10,
    "search.rank.near": 0,
    "search.rank.head_costs": 0,
    "search.rank.deviations": 0,
    "search.names.newest": 0,
    "search.names.sampled": 1,
}
_CHEAP = ("search.costs.value", "search.costs.head")
#: What to read of the four small records, and the ways that have to be taken; further limits.
WAYS_BY_READ: list[tuple[str, Filters, set[str], dict[str, float]]] = [
    ("r1", {"repoName": "a"}, {"pairs"}, {}),
    ("r1", {"clusterName": "a"}, {"pairs", "glimpsed"}, {}),
    ("r3", {"clusterName": "a"}, {"pairs", "missed", "counted", "fetched"}, {}),
    ("r3", {"clusterName": "b"}, {"pairs", "missed", "counted", "fetched"}, {}),
    ("r1", {"packageName": "p"}, {"names", "drawn", "enclosed"}, {"search.names.kept": 3}),
    ("r1", {"path": "a"}, {"names", "scan", "stopped"}, {}),
    ("r1", {"path": "a", "version": "1"}, {"names", "joined", "in parts", "enclosed"}, {"search.names.kept": 3}),
    ("r1", {"path": "a", "version": "1"}, {"names", "remembered"}, {"search.names.remembered_cost": 0}),
    ("r1", {"path": "a", "version": "1"}, {"names", "asked"}, {"search.costs.asking": 0.1}),
    ("r1", {"path": "a", "version": "1"}, {"names", "checked"}, {"search.costs.value": 0.1}),
    ("r1", {"clusterName": "a", "path": "a"}, {"names", "by heads", "checked"}, dict.fromkeys(_CHEAP, 0.1)),
    ("r1", {"clusterName": "a", "path": "a"}, {"names"}, {}),
    ("r2", {"path": "b"}, {"names", "scan", "stopped"}, {}),
    ("r2", {"version": "1"}, {"names", "scan", "stopped"}, {}),
    ("r4", {"path": "b"}, {"names", "hopeless"}, {}),
    ("r1", {"localRepoName": "a", "path": "a"}, {"names", "scan"}, {}),
    ("r1", {"repoName": "a"}, {"status"}, _MANY_PAIRS),
    ("r5", {"repoName": "a"}, {"pairs", "parts"}, _MANY_PAIRS),
    ("r5", {"localRepoName": "a"}, {"pairs", "by clusters"}, _MANY_PAIRS),
    ("r5", {"clusterName": "b", "repoName": "ab"}, {"pairs", "by clusters"}, _MANY_PAIRS),
    ("r5", {"localRepoName": "a"}, {"pairs", "parts"}, _MANY_PAIRS | {"search.facets.few_clusters": 2}),
]
_WAYS_OF_THE_SEQUENCE = {way for _, _, ways, _ in WAYS_BY_READ for way in ways}


@pytest.mark.parametrize(
    ("examples", "steps"), [(STEADY_EXAMPLES, 30), pytest.param(600, 60, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_every_read_is_the_oracles(
    machine_of_its_own: Callable[[], StoreMachine], taken: Counter[str], examples: int, steps: int
) -> None:
    """The short run is the same each time; ``many`` is another each time, and `make test-all` leaves it out."""
    run_state_machine_as_test(
        machine_of_its_own,  # type: ignore[arg-type] # any factory will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=examples == STEADY_EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # Which cases a steady run draws changes with the code: it may miss what the sequence above comes to, and reading
    # back.
    may_miss = {"back", *_WAYS_OF_THE_SEQUENCE} if examples == STEADY_EXAMPLES else set()
    assert {way for way, times in taken.items() if times} >= WAYS - may_miss
