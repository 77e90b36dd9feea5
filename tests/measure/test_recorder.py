"""Samples, intervals and their sums."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.measure.histogram import Histogram
from loadkit.measure.metrics import CATALOGUE, COUNTERS, ENDS, GAUGES, LATENCIES, MARKS, find
from loadkit.measure.recorder import ErrorRow, Interval, Recorder, Totals

actions = st.lists(
    st.one_of(
        st.tuples(st.just("latency"), st.sampled_from(["reply.response", "http.message.create"]), st.integers(-5, 4 * 10**9)),
        st.tuples(st.just("count"), st.sampled_from(["reply.lost", "cable.dropped", "http.x.failed"]), st.integers(-3, 3)),
        st.tuples(st.just("gauge"), st.sampled_from(["customers", "generator.cpu"]), st.integers(0, 100)),
        st.tuples(st.just("frame"), st.sampled_from(["ping", "message.created"]), st.integers(1, 500)),
        st.tuples(st.just("error"), st.sampled_from(["timeout", "cut"]), st.integers(1, 2)),
        st.tuples(st.just("cut"), st.none(), st.none()),
    ),
    max_size=60,
)


def play(recorder: Recorder, action: tuple[str, Any, Any]) -> Interval | None:
    what, name, value = action
    if what == "latency":
        recorder.latency(name, value, "exact")
    elif what == "count":
        recorder.count(name, value)
    elif what == "gauge":
        recorder.gauge(name, value)
    elif what == "frame":
        pair = recorder.frames.setdefault(name, [0, 0])
        pair[0] += 1
        pair[1] += value
    elif what == "error":
        recorder.error(name, "somewhere", f"example of {name}", count=value)
    else:
        return recorder.cut()
    return None


def sums(totals: Totals) -> Any:
    errors = {key: (row.count, row.example) for key, row in totals.errors.items()}
    counters = {name: n for name, n in totals.counters.items() if n}
    return counters, totals.gauges, totals.histograms, totals.frames, errors


@given(actions)
def test_any_cuts_add_up_to_no_cut_at_all(steps: list[tuple[str, Any, Any]]) -> None:
    """However a run is cut into intervals, and travels, its sums are those of one interval."""
    often, once = Recorder(), Recorder()
    totals, whole = Totals(), Totals()
    for step in steps:
        interval = play(often, step)
        if interval is not None:
            totals.add(msgspec.msgpack.decode(msgspec.msgpack.encode(interval), type=Interval))
        if step[0] != "cut":
            play(once, step)
    totals.add(often.cut())
    whole.add(once.cut())
    assert sums(totals) == sums(whole)


@given(st.permutations(range(5)))
def test_intervals_add_up_in_any_order(order: list[int]) -> None:
    """Counters, histograms, frames and errors do not care which worker's interval comes first."""
    intervals = []
    for n in range(5):
        row = ErrorRow("cut", "here", n + 1, 100 - n, 100 + n, f"example {n}")
        counters = {"reply.lost": n - 2}
        intervals.append(Interval(n, n, 10 * n, 10 * n + 10, counters, {}, {"reply.lag": Histogram({n: 1}, 1, n)}, {"ping": (1, n)}, [row]))
    totals = Totals()
    for n in order:
        totals.add(intervals[n])
    assert totals.counters == {"reply.lost": 0}
    assert totals.histograms["reply.lag"] == Histogram(dict.fromkeys(range(5), 1), 5, 10)
    assert totals.frames == {"ping": [5, 10]}
    assert totals.errors == {("cut", "here"): ErrorRow("cut", "here", 15, 96, 104, "example 4")}
    assert (totals.start_us, totals.end_us) == (0, 50)


def test_intervals_follow_each_other_without_gap() -> None:
    """Each begins where the one before ended, is numbered, and has a length."""
    recorder = Recorder(worker=3)
    intervals = [recorder.cut() for _ in range(20)]
    assert [(interval.seq, interval.worker) for interval in intervals] == [(n, 3) for n in range(20)]
    assert all(before.end_us == after.start_us for before, after in pairwise(intervals))
    assert all(interval.end_us > interval.start_us for interval in intervals)


def test_what_records_one_latency_goes_on_over_cuts() -> None:
    """A caller asks once; each cut takes what came since the one before, whichever way it came."""
    recorder = Recorder()
    exact = recorder.into("reply.response", "exact")
    cuts = []
    for value in (5, 6):
        exact(value)
        recorder.latency("reply.response", value, "bounded")
        cuts.append(recorder.cut().histograms)
    assert cuts == [{"reply.response": Histogram({value: 2}, 2, 2 * value, exact=1, bounded=1)} for value in (5, 6)]
    assert recorder.cut().histograms == {}


def test_a_cut_leaves_gauges_and_nothing_else() -> None:
    """A gauge says how things stand; everything else begins anew, and what a receiver holds stays the same dictionary."""
    recorder = Recorder()
    frames = recorder.frames
    for step in (
        ("latency", "reply.lag", 5),
        ("count", "reply.lost", 1),
        ("gauge", "customers", 7),
        ("frame", "ping", 9),
        ("error", "cut", 1),
    ):
        play(recorder, step)
    recorder.event("note", text="x")
    recorder.delivery("line")
    first, second = recorder.cut(), recorder.cut()
    assert (first.frames, len(first.events), first.deliveries) == ({"ping": (1, 9)}, 1, ["line"])
    assert second == Interval(1, 0, second.start_us, second.end_us, gauges={"customers": 7})
    assert recorder.frames is frames


def gauges(worker: int, end_s: int, **values: float) -> Interval:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Interval(0, worker, (end_s - 1) * 10**6, end_s * 10**6, gauges=named)


def test_gauges_of_workers_add_up() -> None:
    """Forty customers here and thirty there are seventy; what is said of one process is the highest of them."""
    totals = Totals()
    for interval in (
        gauges(1, 1, customers=40, generator__cpu=0.2),
        gauges(2, 1, customers=30, generator__cpu=0.9),
        gauges(1, 2, customers=10, generator__cpu=0.1),
    ):
        totals.add(interval)
    assert totals.gauges == {"customers": 40, "generator.cpu": 0.9}
    assert totals.highest == {"customers": 70, "generator.cpu": 0.9}


def test_a_worker_that_died_is_not_counted_on() -> None:
    """Its customers are handed to the others and would be counted twice."""
    totals = Totals()
    totals.add(gauges(1, 1, customers=50))
    for second in range(1, 9):
        totals.add(gauges(2, second, customers=50 if second < 6 else 100))
    assert totals.gauges["customers"] == 100
    assert totals.highest["customers"] == 100


def test_an_older_gauge_does_not_replace_a_newer_one() -> None:
    """An interval that was delayed on its way says how things stood."""
    totals = Totals()
    totals.add(gauges(1, 5, customers=50))
    totals.add(gauges(1, 4, customers=20))
    assert totals.gauges == {"customers": 50}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("count", "reply.lots"),
        ("count", "reply.lag"),
        ("latency", "reply.lost"),
        ("gauge", "customer"),
        ("latency", "frames.x"),
        ("count", "http.x"),
    ],
)
def test_what_the_catalogue_does_not_declare_cannot_be_recorded(kind: str, name: str) -> None:
    """A misspelled metric is an error where it happens."""
    with pytest.raises(KeyError):
        play(Recorder(), (kind, name, 1))


def test_errors_fold_by_kind_and_place() -> None:
    """Thousands of the same are one row; more than two hundred kinds fold into one, in an interval and in the run."""
    recorder, totals = Recorder(), Totals()
    for round_ in range(3):
        for n in range(500):
            recorder.error(f"kind {round_}-{n}", "place", "x" * 1000)
        interval = recorder.cut()
        assert len(interval.errors) == 201
        assert all(len(row.example) <= 300 for row in interval.errors)
        totals.add(interval)
    assert len(totals.errors) == 201
    assert sum(row.count for row in totals.errors.values()) == 1500
    assert totals.errors["kind 0-0", "place"].count == 1


def test_happenings_are_bounded_and_the_rest_is_told() -> None:
    """After two hundred a note says how many more there were; the slowest replies come on top."""
    recorder = Recorder()
    for n in range(500):
        recorder.event("lost", marker=str(n))
        recorder.slow(n, lambda n=n: {"marker": str(n)})
    events = recorder.cut().events
    assert [event["kind"] for event in events].count("lost") == 200
    assert [event["marker"] for event in events if event["kind"] == "slow"] == ["499", "498", "497", "496", "495"]
    assert "300" in events[-1]["text"]
    assert recorder.cut().events == []


def test_slow_replies_of_a_long_calm_run_stay_few() -> None:
    """Only what belongs to the hundred slowest so far is told again and again; a slow one late in the run is told."""
    recorder = Recorder()
    told = []
    for _ in range(300):
        for n in range(10):
            recorder.slow(1000 + n, dict)
        told.append(len(recorder.cut().events))
    assert told[0] == 5
    assert sum(told[100:]) == 0
    recorder.slow(5000, dict)
    assert len(recorder.cut().events) == 1


def test_settle_gives_open_replies_an_end_and_takes_it_back() -> None:
    """A worker that died leaves undetermined replies; what it tells after waking up replaces them."""
    totals = Totals()
    totals.add(Interval(0, 1, 0, 1, {"reply.attempted": 10, "reply.on_time": 4, "reply.undetermined": 1}))
    assert totals.settle() == 5
    assert (totals.reply("undetermined"), totals.settle()) == (6, 0)
    totals.add(Interval(1, 1, 1, 2, {"reply.on_time": 3, "reply.refused": 1, "reply.attempted": 1}))
    assert totals.settle() == -3
    assert (totals.reply("undetermined"), totals.reply("accepted")) == (3, 10)
    assert totals.reply("accepted") == sum(totals.reply(end) for end in ENDS[1:])


def test_settle_never_takes_away_what_was_told() -> None:
    """An interval that never came held attempts: their ends are there, so they were attempted; nothing is undetermined below zero."""
    totals = Totals()
    totals.add(Interval(0, 1, 0, 1, {"reply.attempted": 2, "reply.on_time": 6, "reply.undetermined": 1}))
    assert totals.settle() == 0
    assert (totals.reply("attempted"), totals.reply("undetermined")) == (7, 1)


DECLARED = """reply.response reply.delivery reply.post reply.lag echo.delivery question.delivery answer.wait desk.wait
cable.connect cable.confirm cable.reconnect cable.presence_echo cable.ping_gap schedule.lag generator.lag generator.read_lag
cable.open cable.wanted customers desk.waiting
cable.opened cable.dropped cable.unconfirmed cable.deaf question.unseen desk.cancelled schedule.dropped throttled"""


def test_the_catalogue_is_the_one_that_others_script_against() -> None:
    """Names and kinds; more may come, none may go."""
    kinds = {"latency": LATENCIES, "counter": COUNTERS, "gauge": GAUGES}
    assert all(metric.kind == kind for kind, metrics in kinds.items() for metric in metrics)
    assert set(DECLARED.split()) | {f"reply.{name}" for name in (*ENDS, *MARKS)} <= set(CATALOGUE)
    further = ["reply.before_save", "reply.after_save", "reply.agent_copy", "clock.uncertainty"]
    assert [metric.name for metric in LATENCIES if metric.name not in further] == DECLARED.split()[:16]
    assert len(CATALOGUE) == len(LATENCIES) + len(COUNTERS) + len(GAUGES)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("http.contact.create", "latency"),
        ("http.contact.create.failed", "counter"),
        ("http.contact.create.unanswered", "counter"),
        ("frames.message.created", "counter"),
        ("reply.refused.throttled", "counter"),
        ("reply.refused.", None),
        ("http.", None),
        ("frames.", None),
        ("http", None),
        ("", None),
    ],
)
def test_families(name: str, kind: str | None) -> None:
    """Routes, events and kinds of refusals are open sets."""
    metric = find(name)
    assert (metric.kind if metric else None) == kind
