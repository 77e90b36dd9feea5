"""Where the time went: a simulated server with a clock of its own, whose truth is known to the microsecond."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit import clock, units
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply
from loadkit.measure.stages import HELD_US, MOST_HELD, Bounds, Stages, read_moment

MS = 1_000


class Server:
    """A server with one queue before saving and one after, exponential both, and a clock that is `ahead_us` of ours."""

    def __init__(self, *, ahead_us: int = 0, mean_ms: float = 20.0, least_ms: float = 0.0, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.ahead_us, self.mean_us, self.least_us = ahead_us, mean_ms * MS, least_ms * MS
        self.recorder = Recorder()
        self.stages = Stages(self.recorder)
        self.anchor_us = clock.to_unix_us(0)
        self.web_free_us = self.jobs_free_us = 0.0
        self.before: list[int] = []
        self.after: list[int] = []

    def written(self, saved_us: int) -> str:
        """A moment of ours as the server writes it: by its own clock, cut to the millisecond."""
        return units.iso((self.anchor_us + saved_us + self.ahead_us) // MS * MS)

    def reply(self, sent_us: int) -> Reply:
        """Serve a reply that was sent at a moment and hand its frame over."""
        service = self.least_us + self.random.expovariate(1 / self.mean_us)
        begun = max(float(sent_us), self.web_free_us)
        saved_us = round(begun + 0.75 * service)
        self.web_free_us = begun + service
        self.jobs_free_us = max(saved_us, self.jobs_free_us) + self.least_us / 4 + self.random.expovariate(2 / self.mean_us)
        reply = made(sent_us, received_us=round(self.jobs_free_us), saved=self.written(saved_us), answered_us=round(self.web_free_us))
        self.before.append(saved_us - sent_us)
        self.after.append(round(self.jobs_free_us) - saved_us)
        self.stages.reply(reply)
        return reply

    def load(self, *, seconds: float, rate: float, begin_us: int = 0) -> None:
        """Serve Poisson arrivals, folding once a second as a run does."""
        at, next_fold = begin_us + self.random.expovariate(rate) * 1e6, begin_us + 1_000_000
        while at < begin_us + seconds * 1e6:
            while at > next_fold:
                self.stages.fold(next_fold)
                next_fold += 1_000_000
            self.reply(round(at))
            at += self.random.expovariate(rate) * 1e6
        self.stages.fold(next_fold)

    def told(self) -> dict[str, Histogram]:
        self.stages.settle()
        return self.recorder.cut().histograms


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
    for name, truth in (("reply.before_save", server.before), ("reply.after_save", server.after)):
        assert told[name].count == len(truth) > 3_000
        for percent in (50, 99):
            true_us = exact(truth, percent)
            assert told[name].percentile(percent) == pytest.approx(true_us, rel=0.05, abs=500)
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
    server.stages.fold(at)
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
    server.stages.fold(at)
    split = server.stages.split(slow)
    assert split is not None
    assert split.before_us == pytest.approx(300 * MS, abs=3 * MS)
    assert split.uncertain_us < 4 * MS


def test_a_clock_that_is_set_in_mid_run_is_noticed() -> None:
    """What came before is told by the old offset, what comes after by the new one, and a note says so."""
    server = Server(ahead_us=1_000_000)
    server.load(seconds=20, rate=20)
    server.ahead_us -= 3_000_000
    server.load(seconds=20, rate=20, begin_us=30_000_000)
    server.stages.settle()
    interval = server.recorder.cut()
    told = interval.histograms["reply.before_save"]
    assert told.count == len(server.before)
    assert told.percentile(99) == pytest.approx(exact(server.before, 99), rel=0.05, abs=2 * MS)
    (note,) = [event["text"] for event in interval.events]
    moved = re.search(r"moved apart by ([-+0-9,]+) ms \(± ([0-9,]+) ms\)", note)
    assert moved is not None
    told_ms, sure_ms = (int(number.replace(",", "")) for number in moved.groups())
    assert abs(told_ms + 3_000) <= sure_ms + 1 < 200


def test_a_drifting_clock_is_followed() -> None:
    """Fifteen parts in a million for two hours, 108 ms in all: never taken for a clock that was set, and never off by more than is said."""
    server = Server()
    for minute in range(120):
        server.ahead_us = minute * 900
        server.load(seconds=5, rate=10, begin_us=minute * 60_000_000)
    told = server.told()
    assert told["reply.before_save"].percentile(50) == pytest.approx(exact(server.before, 50), rel=0.1, abs=2 * MS)
    assert not [event for event in server.recorder.cut().events if event["kind"] == "note"]


def test_several_clocks_behind_one_address_are_not_averaged() -> None:
    """Two machines whose clocks are a second apart: nothing is inferred, and a note says why."""
    server = Server()
    for n in range(20):
        server.ahead_us = n % 2 * 1_000_000
        server.reply(10**9 + n * 10 * MS)
    server.stages.fold(10**9 + 10**6)
    server.stages.settle()
    interval = server.recorder.cut()
    assert "reply.before_save" not in interval.histograms
    assert "more than one clock" in interval.events[0]["text"]


def test_moments_that_were_rounded_and_not_cut_contradict_nothing() -> None:
    """Half a millisecond more or less is no second clock, even where a server answers at once."""
    server = Server(ahead_us=77)
    for n in range(500):
        sent_us = 10**9 + n * 1_370
        saved_us = sent_us + 100
        written = units.iso(round((server.anchor_us + saved_us + server.ahead_us) / MS) * MS)
        server.stages.reply(made(sent_us, received_us=saved_us + 100, saved=written))
    server.stages.fold(2 * 10**9)
    server.stages.settle()
    interval = server.recorder.cut()
    assert not interval.events
    assert interval.histograms["reply.before_save"].count == 500
    assert interval.histograms["reply.before_save"].max_us <= 200


def test_splits_wait_for_the_offset_but_not_for_ever() -> None:
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
    server.stages.fold(2 * 10**9)
    assert recorded() == MOST_HELD


@pytest.mark.parametrize(
    "saved", [None, "", "yesterday", True, {"at": 1}, float("inf"), float("nan"), 10**400, "2025-09-09T12:59:53.412+99:00"]
)
def test_a_moment_that_is_none_is_left_out(saved: object) -> None:
    """The reply is a delivery all the same; it has no stages."""
    server = Server()
    reply = made(10**9, received_us=10**9 + 5_000, saved=saved)
    server.stages.reply(reply)
    server.stages.fold(10**9 + 10**6)
    assert server.stages.split(reply) is None
    assert not server.told()


def moments() -> Iterator[tuple[object, tuple[int, int]]]:
    yield "2025-09-09T12:59:53.412Z", (1_757_422_793_412_000, 1_000)
    yield "2025-09-09T14:59:53.412+02:00", (1_757_422_793_412_000, 1_000)
    yield "2025-09-09T12:59:53.412345Z", (1_757_422_793_412_345, 1)
    yield "2025-09-09T12:59:53Z", (1_757_422_793_000_000, 1_000_000)
    yield "2025-09-09 12:59:53.5", (1_757_422_793_500_000, 100_000)
    yield 1_757_422_793, (1_757_422_793_000_000, 1_000_000)
    yield 1_757_422_793.412, (1_757_422_793_412_000, 1)


@pytest.mark.parametrize(("written", "read"), list(moments()))
def test_moments_are_read_with_their_grain(written: object, read: tuple[int, int]) -> None:
    """ISO dates of any zone and number of digits, and Unix seconds."""
    assert read_moment(written) == read


def test_bounds_meet_or_contradict() -> None:
    """What both allow; a contradiction of up to a millisecond is the middle between the two."""
    assert Bounds(0, 10).within(Bounds(5, 20)) == Bounds(5, 10)
    assert Bounds(0, 10).within(Bounds(10.5, 20)) == Bounds(10, 10.5)
    assert Bounds(0, 10).within(Bounds(2_000, 3_000)) is None
    assert (Bounds(-5, 3).best_us, Bounds(2, 4).best_us, Bounds(-4, -2).best_us) == (0, 3, -3)
