"""Where the time went: a simulated server with a clock of its own, whose truth is known to the microsecond."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit import clock, units
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Interval, Recorder
from loadkit.measure.reply import Reply
from loadkit.measure.server_clock import NEAR_US, Bounds, Saved, read_moment
from loadkit.measure.stages import HELD_US, MOST_HELD, Stages

MS = 1_000


class Server:
    """A server with one queue before saving and one after, exponential both, and clocks of its own.

    They are `ahead_us` of ours, and by one of `hosts_us` more; `odd` is the share of messages whose date is wrong by `odd_us`.
    """

    def __init__(
        self,
        *,
        ahead_us: int = 0,
        mean_ms: float = 20.0,
        least_ms: float = 0.0,
        hosts_us: Sequence[int] = (0,),
        odd: float = 0.0,
        odd_us: int = 0,
        log: bool = False,
    ) -> None:
        self.random = random.Random(1)
        self.ahead_us, self.mean_us, self.least_us = ahead_us, mean_ms * MS, least_ms * MS
        self.hosts_us, self.odd, self.odd_us = hosts_us, odd, odd_us
        self.recorder = Recorder()
        self.stages = Stages(self.recorder, log=log)
        self.anchor_us = clock.to_unix_us(0)
        self.web_free_us = self.jobs_free_us = 0.0
        self.before: list[int] = []
        self.after: list[int] = []
        self.odd_ones = 0
        self.last_us = 0

    def written(self, saved_us: int) -> str:
        """A moment of ours as the server writes it: by its own clock, cut to the millisecond."""
        ahead_us = self.ahead_us + self.random.choice(self.hosts_us)
        if self.random.random() < self.odd:
            self.odd_ones += 1
            ahead_us += self.odd_us
        return units.iso((self.anchor_us + saved_us + ahead_us) // MS * MS)

    def reply(self, sent_us: int) -> Reply:
        """Serve a reply that was sent at a moment and hand its frame over."""
        service = self.least_us + self.random.expovariate(1 / self.mean_us)
        begun = max(float(sent_us), self.web_free_us)
        saved_us = round(begun + 0.75 * service)
        self.web_free_us = begun + service
        self.jobs_free_us = max(saved_us, self.jobs_free_us) + self.least_us / 4 + self.random.expovariate(2 / self.mean_us)
        self.last_us = round(self.jobs_free_us)
        reply = made(sent_us, received_us=self.last_us, saved=self.written(saved_us), answered_us=round(self.web_free_us))
        self.before.append(saved_us - sent_us)
        self.after.append(self.last_us - saved_us)
        self.stages.reply(reply)
        return reply

    def load(self, *, seconds: float, rate: float, begin_us: int = 10**9) -> None:
        """Serve Poisson arrivals, folding once a second as a run does."""
        at, next_fold = begin_us + self.random.expovariate(rate) * 1e6, begin_us + 1_000_000
        while at < begin_us + seconds * 1e6:
            while at > next_fold:
                self.stages.fold(next_fold)
                next_fold += 1_000_000
            self.reply(round(at))
            at += self.random.expovariate(rate) * 1e6
        self.stages.fold(next_fold)

    def cut(self) -> Interval:
        """End, and return all that was recorded."""
        self.stages.finish(self.last_us + 1)
        return self.recorder.cut()

    def told(self) -> dict[str, Histogram]:
        return self.cut().histograms

    def agrees(self, told: dict[str, Histogram], *, rel: float = 0.05, abs_us: float = 500) -> None:
        """Assert that both stages are told right at p50 and p99."""
        for name, truth in (("reply.before_save", self.before), ("reply.after_save", self.after)):
            for percent in (50, 99):
                assert told[name].percentile(percent) == pytest.approx(exact(truth, percent), rel=rel, abs=abs_us), (name, percent)


def made(sent_us: int, *, received_us: int, saved: object, answered_us: int | None = None) -> Reply:
    reply = Reply("m", conversation_id=1, subscription="s", agent=1, worker=0, due_us=sent_us, sent_us=sent_us)
    reply.saved, reply.received_us, reply.answered_us, reply.quality = saved, received_us, answered_us, "exact"
    return reply


def exact(values: list[int], percent: float) -> int:
    return sorted(values)[max(0, -(-len(values) * round(percent * 10) // 1000) - 1)]


@pytest.mark.parametrize("ahead_ms", [0, 3, -700, 86_400_000])
def test_the_stages_of_a_known_queue_are_told_within_five_percent(ahead_ms: int) -> None:
    """Whatever the server's clock says: at p50 and p99 of both stages, with 20 ms of queueing and more."""
    server = Server(ahead_us=ahead_ms * MS + 123)
    server.load(seconds=120, rate=35)
    told = server.told()
    assert told["reply.before_save"].count == told["reply.after_save"].count == len(server.before) > 3_000
    server.agrees(told)
    assert exact(server.before, 50) > 20 * MS
    uncertain = told["clock.uncertainty"]
    assert uncertain.count == len(server.before)
    assert uncertain.percentile(50) < 2 * MS


@given(
    st.integers(-(10**9), 10**9),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=30),
)
def test_the_truth_lies_within_what_is_told(ahead_us: int, messages: list[tuple[int, int, int]]) -> None:
    """For any clock and any messages: the two parts make up the delivery, and the moment of saving is off by no more than is said."""
    server = Server(ahead_us=ahead_us)
    at, replies = 10**9, []
    for before_us, after_us, answered_us in messages:
        at += 50_000
        saved_us = at + before_us
        reply = made(at, received_us=saved_us + after_us, saved=server.written(saved_us), answered_us=saved_us + answered_us)
        replies.append((reply, before_us))
        server.stages.reply(reply)
    server.stages.fold(at + 10**6)
    for reply, before_us in replies:
        split = server.stages.split(reply)
        assert split is not None
        assert split.before_us + split.after_us == pytest.approx(reply.received_us - reply.sent_us)
        assert split.before_us >= 0
        assert split.after_us >= 0
        assert abs(split.before_us - before_us) <= split.uncertain_us + 1


def test_where_the_messages_allow_it_the_clocks_are_taken_to_be_in_step() -> None:
    """The middle of what a server allows whose POSTs never take less than 40 ms would be 15 ms off; two kept clocks are not."""
    server = Server(least_ms=40)
    server.load(seconds=30, rate=5)
    told = server.told()
    assert told["reply.before_save"].percentile(50) == pytest.approx(exact(server.before, 50), abs=MS)
    assert told["clock.uncertainty"].percentile(50) > 20 * MS


def test_a_customers_own_message_narrows_the_offset_too() -> None:
    """One quick question tells as much as one quick reply."""
    server = Server(ahead_us=5_000_000)
    at = 10**9
    slow = made(at, received_us=at + 400 * MS, saved=server.written(at + 300 * MS))
    server.stages.question(server.written(at + 2 * MS), at, at + 4 * MS)
    server.stages.reply(slow)
    server.stages.fold(at + 10**6)
    split = server.stages.split(slow)
    assert split is not None
    assert split.before_us == pytest.approx(300 * MS, abs=3 * MS)
    assert split.uncertain_us < 4 * MS


def test_a_clock_that_is_set_in_mid_run_is_noticed() -> None:
    """What came before is told by the old offset, what comes after by the new one, and a note says so."""
    server = Server(ahead_us=1_000_000)
    server.load(seconds=20, rate=20)
    server.ahead_us -= 3_000_000
    server.load(seconds=20, rate=20, begin_us=10**9 + 30_000_000)
    interval = server.cut()
    assert interval.histograms["reply.before_save"].count == len(server.before)
    server.agrees(interval.histograms, abs_us=2 * MS)
    (note,) = [event["text"] for event in interval.events]
    moved = re.search(r"moved apart by ([-+0-9,]+) ms \(± ([0-9,]+) ms\)", note)
    assert moved is not None
    told_ms, sure_ms = (int(number.replace(",", "")) for number in moved.groups())
    assert abs(told_ms + 3_000) <= sure_ms + 1 < 200


def test_a_drifting_clock_is_followed() -> None:
    """Fifteen parts in a million for two hours, 108 ms in all, are never taken for a clock that was set."""
    server = Server()
    for minute in range(120):
        server.ahead_us = minute * 900
        server.load(seconds=5, rate=10, begin_us=10**9 + minute * 60_000_000)
    interval = server.cut()
    server.agrees(interval.histograms, rel=0.1, abs_us=2 * MS)
    assert not interval.events


@pytest.mark.parametrize(("odd", "odd_ms"), [(0.001, 200), (0.01, 200), (0.01, -60_000), (0.05, 3_600_000)])
def test_odd_dates_are_left_out_one_by_one(odd: float, odd_ms: int) -> None:
    """A date that is wrong by itself costs that reply its stages and no other's; how many is told."""
    server = Server(ahead_us=123, odd=odd, odd_us=odd_ms * MS)
    server.load(seconds=60, rate=35)
    interval = server.cut()
    placed = interval.histograms["reply.before_save"].count
    assert server.odd_ones > 0
    assert interval.counters["clock.contradicted"] == server.odd_ones == len(server.before) - placed
    server.agrees(interval.histograms)
    assert not interval.events


@pytest.mark.parametrize("apart_ms", [2, 5, 20])
def test_several_hosts_with_almost_one_clock_widen_what_is_told(apart_ms: int) -> None:
    """All replies keep their stages; how far the clocks are apart is part of what is said to be uncertain."""
    server = Server(hosts_us=(0, apart_ms * MS))
    server.load(seconds=120, rate=35)
    told = server.told()
    assert told["reply.before_save"].count == len(server.before)
    uncertain_us = told["clock.uncertainty"].percentile(50)
    assert uncertain_us > apart_ms * MS / 3
    server.agrees(told, abs_us=uncertain_us + MS)


def test_clocks_that_are_far_apart_are_not_averaged() -> None:
    """Two machines whose clocks are a second apart: who contradicts the others has no stages, and that is counted."""
    server = Server(hosts_us=(0, 1_000_000))
    server.load(seconds=30, rate=30)
    interval = server.cut()
    told = interval.histograms["reply.before_save"]
    assert told.count + interval.counters["clock.contradicted"] == len(server.before)
    assert told.count < 0.8 * len(server.before)
    assert told.percentile(50) == pytest.approx(exact(server.before, 50), rel=0.25)
    assert [event["kind"] for event in interval.events] == ["note"] * len(interval.events)
    assert len(interval.events) <= 5


def test_who_refuses_may_do_so_before_the_message_is_saved() -> None:
    """A proxy answers 504 after a second, the server saves half a second later: the answer binds nothing."""
    server = Server()
    at = 10**9
    for n in range(20):
        sent_us = at + n * 100 * MS
        server.stages.reply(made(sent_us, received_us=sent_us + 20 * MS, saved=server.written(sent_us + 10 * MS)))
    late = made(at, received_us=at + 1_600 * MS, saved=server.written(at + 1_500 * MS), answered_us=at + 1_000 * MS)
    late.refusal = "http_504"
    server.stages.reply(late)
    server.stages.fold(at + 3 * 10**6)
    split = server.stages.split(late)
    assert split is not None
    assert split.before_us == pytest.approx(1_500 * MS, abs=split.uncertain_us + MS)


def test_moments_that_were_rounded_and_not_cut_contradict_nothing() -> None:
    """Half a millisecond more or less is no second clock, even where a server answers at once."""
    server = Server(ahead_us=77)
    for n in range(500):
        sent_us = 10**9 + n * 1_370
        saved_us = sent_us + 3 * MS
        written = units.iso(round((server.anchor_us + saved_us + server.ahead_us) / MS) * MS)
        server.stages.reply(made(sent_us, received_us=saved_us + 100, saved=written))
    server.last_us = 10**9 + 10**6
    interval = server.cut()
    assert "clock.contradicted" not in interval.counters
    told = interval.histograms
    assert told["reply.before_save"].count == 500
    assert told["reply.before_save"].percentile(50) == pytest.approx(3 * MS, abs=told["clock.uncertainty"].percentile(50) + MS)
    assert told["clock.uncertainty"].max_us < 3 * MS


def test_replies_wait_for_the_offset_but_not_for_ever() -> None:
    """They are recorded half a minute after the first of them, or when there are many."""
    server = Server()

    def recorded() -> int:
        interval = server.recorder.cut()
        return interval.histograms["reply.before_save"].count if "reply.before_save" in interval.histograms else 0

    first = server.reply(10**9)
    server.stages.fold(first.received_us + HELD_US - 1)
    assert recorded() == 0
    server.stages.fold(first.received_us + HELD_US)
    assert recorded() == 1
    for n in range(MOST_HELD):
        server.reply(2 * 10**9 + n * 100)
    server.stages.fold(server.last_us + 10**6)
    assert recorded() == MOST_HELD


def test_every_reply_that_was_placed_leaves_a_line() -> None:
    """In the order of stages.csv: by the generator's clock, in Unix microseconds; the agent's copy only where one was seen."""
    server = Server(ahead_us=-5_000_000, log=True)
    first, second = server.reply(10**9), server.reply(10**9 + 10**6)
    first.agent_copy_us = first.received_us - 70
    lines = [line.split(",") for line in server.cut().stages]
    unix_us = clock.to_unix_us(0)
    for reply, before_us, (marker, sent, saved, received, copy, uncertain) in zip((first, second), server.before, lines, strict=True):
        assert marker == reply.marker
        assert int(sent) - unix_us == pytest.approx(reply.sent_us, abs=1_000)
        assert int(received) - int(sent) == reply.received_us - reply.sent_us
        assert abs(int(saved) - int(sent) - before_us) <= int(uncertain) + 1
        assert (int(received) - int(copy) if copy else None) == (70 if reply is first else None)


@pytest.mark.parametrize(
    "saved",
    [
        None,
        "",
        "yesterday",
        "2025-09-09T12:59Z",
        "2025-09-09",
        "0025-09-09T12:59:53Z",
        1e300,
        -5,
        True,
        {"at": 1},
        float("inf"),
        float("nan"),
        10**400,
        "2025-09-09T12:59:53.412+99:00",
    ],
)
def test_a_moment_that_is_none_is_left_out(saved: object) -> None:
    """The reply is a delivery all the same; it has no stages."""
    server = Server()
    reply = made(10**9, received_us=10**9 + 5_000, saved=saved)
    server.stages.reply(reply)
    server.stages.fold(10**9 + 10**6)
    assert server.stages.split(reply) is None
    assert not server.told()


MOMENTS = [
    ("2025-09-09T12:59:53.412Z", (1_757_422_793_412_000, 1_000)),
    ("2025-09-09T14:59:53.412+02:00", (1_757_422_793_412_000, 1_000)),
    ("2025-09-09T12:59:53.412345Z", (1_757_422_793_412_345, 1)),
    ("2025-09-09T12:59:53,412Z", (1_757_422_793_412_000, 1_000)),
    ("2025-09-09T12:59:53Z", (1_757_422_793_000_000, 1_000_000)),
    ("2025-09-09 12:59:53.5", (1_757_422_793_500_000, 100_000)),
    (1_757_422_793, (1_757_422_793_000_000, 1_000_000)),
    (1_757_422_793.0, (1_757_422_793_000_000, 1_000_000)),
    (1_757_422_793.412, (1_757_422_793_412_000, 1)),
    (1_757_422_793_412, (1_757_422_793_412_000, 1_000)),
    (1_757_422_793_412_345, (1_757_422_793_412_345, 1)),
]


@pytest.mark.parametrize(("written", "read"), MOMENTS)
def test_moments_are_read_with_their_grain(written: object, read: tuple[int, int]) -> None:
    """ISO dates of any zone and number of digits, and Unix time in seconds, milliseconds or microseconds."""
    assert read_moment(written) == read


def test_a_message_far_from_the_offset_has_no_moment() -> None:
    """One of the two is wrong; one that is near is told with what it is off by."""
    saved = Saved(sent_us=0, until_us=10 * MS, at_us=5 * MS, grain_us=MS)
    inside, near, far = (saved.moment(Bounds(low, low + MS)) for low in (0, 10 * MS, 7 * MS + NEAR_US))
    assert inside is not None
    assert (inside.at_us, inside.uncertain_us) == (5.5 * MS, 1.5 * MS)
    assert near is not None
    assert near.uncertain_us >= 4 * MS
    assert far is None
