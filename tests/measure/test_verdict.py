"""Validity and the verdict: which row applies."""

from __future__ import annotations

from itertools import product

import pytest

from loadkit.errors import SettingsError
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import ErrorRow, Interval, Totals
from loadkit.measure.threshold import Judged
from loadkit.measure.validity import LIMITS, Validity, examine, limits_with, voids
from loadkit.measure.verdict import pronounce, requests_failed

GOOD = {"reply.attempted": 10_000, "reply.on_time": 10_000}


def totals(counters: dict[str, int] | None = None, *, gauges: dict[str, float] | None = None, **us: int) -> Totals:
    """Totals whose latencies have one value each, in µs."""
    made = Totals()
    histograms = {name.replace("__", "."): Histogram() for name in us}
    for name, value in us.items():
        histograms[name.replace("__", ".")].record(value)
    made.add(Interval(0, 0, 0, 1, GOOD | (counters or {}), gauges or {}, histograms))
    return made


def stamps(bounded: int, exact: int, *, read_lag_us: int = 21_000) -> Totals:
    """Totals of a hundred deliveries with stamps of these qualities, read so late."""
    made = totals(generator__read_lag=read_lag_us)
    made.histograms["reply.response"] = Histogram({5: 100}, 100, 500, 0, exact, bounded, 100 - exact - bounded)
    return made


def arrivals(**dropped: int) -> Totals:
    """Totals of ten thousand intended arrivals, of which these were dropped."""
    n = sum(dropped.values())
    reasons = {f"schedule.dropped.{reason}": count for reason, count in dropped.items()}
    return totals({"schedule.offered": 10_000, "schedule.started": 10_000 - n, "schedule.dropped": n} | reasons)


def cables(*, missing: int, why: str) -> Totals:
    """Totals of a hundred cable-seconds of which so many were missing, and of an error beside."""
    made = totals({"cable.wanted_seconds": 100, "cable.missing_seconds": missing})
    made.errors[why, "cable of a customer"] = ErrorRow(why, "cable of a customer", 1)
    return made


TABLE = [
    (totals(), "valid", []),
    (Totals(), "void", ["reply.attempted"]),
    (totals(generator__lag=99_000), "valid", []),
    (totals(generator__lag=150_000), "suspect", ["generator.lag_p99"]),
    (totals(generator__lag=1_200_000), "void", ["generator.lag_void", "generator.lag_p99", "generator.lag_max"]),
    (totals(generator__read_lag=300_000), "suspect", ["generator.read_lag_p99"]),
    (totals(gauges={"generator.cpu": 0.95}), "suspect", ["generator.cpu"]),
    (cables(missing=2, why="connect_shortage"), "valid", []),
    (cables(missing=3, why="connect_shortage"), "suspect", ["cable.missing"]),
    (cables(missing=3, why="shortage"), "suspect", ["cable.missing"]),
    (cables(missing=90, why="reconnect_unreachable"), "valid", []),
    (cables(missing=90, why="dropped_eof"), "valid", []),
    (totals({"customers.wanted_seconds": 100, "customers.missing_seconds": 2}), "suspect", ["customers.dead"]),
    (totals({"reply.undetermined": 10, "reply.on_time": 9990}), "valid", []),
    (totals({"reply.undetermined": 11, "reply.on_time": 9989}), "suspect", ["reply.undetermined"]),
    (totals({"reply.refused": 9000, "reply.undetermined": 2, "reply.on_time": 998}), "suspect", ["reply.undetermined"]),
    (stamps(bounded=5, exact=95), "valid", []),
    (stamps(bounded=6, exact=94), "suspect", ["reply.unclear_stamps"]),
    (stamps(bounded=60, exact=40, read_lag_us=500), "valid", []),
    (stamps(bounded=0, exact=0), "valid", []),
    (totals(reply__response=59_000_000), "valid", []),
    (arrivals(generator_late=100), "valid", []),
    (arrivals(generator_late=101), "suspect", ["schedule.dropped"]),
    (arrivals(no_idle_user=40, generator_late=30, worker_lost=31), "suspect", ["schedule.dropped"]),
    (arrivals(cap_reached=9000, stopped=800, no_idle_user=100), "valid", []),
    (totals({"schedule.offered": 0, "schedule.dropped": 0}), "valid", []),
]


@pytest.mark.parametrize(("seen", "state", "names"), TABLE)
def test_validity(seen: Totals, state: str, names: list[str]) -> None:
    """A troubled generator or an empty run cannot be believed; a target that is slow, refuses or breaks connections can."""
    validity = examine(seen)
    assert (validity.state, [reason.name for reason in validity.reasons]) == (state, names)
    for reason in validity.reasons:
        assert reason.text
        assert reason.name == "reply.attempted" or reason.value > reason.limit == LIMITS[reason.name]


def test_a_fault_voids_whatever_the_numbers_say() -> None:
    """A listener's exception, a dead master: its own sentence is the reason."""
    validity = examine(totals(), faults={"listener": "a listener raised"})
    assert (validity.state, validity.reasons[0].text) == ("void", "a listener raised")


def test_every_doubtful_worker_is_a_doubt_of_its_own() -> None:
    """Two lost workers and a silent one are three reasons, which need no limit; they make a run suspect and do not void it."""
    doubts = [
        ("workers.lost", "worker 0 (a) was lost"),
        ("workers.lost", "worker 1 (b) was lost"),
        ("workers.silent", "worker 2 (c) was silent"),
    ]
    validity = examine(totals(), workers=doubts)
    assert validity.state == "suspect"
    assert [(reason.name, reason.text) for reason in validity.reasons] == doubts


def test_what_voids_a_run_can_be_told_by_its_name() -> None:
    """A reason's name alone tells a void run's reasons from doubts, whatever the numbers were."""
    seen = totals(generator__lag=1_200_000)
    seen.counters["reply.attempted"] = 0
    reasons = examine(seen, faults={"crash": "the process died"}, workers=[("workers.lost", "worker 1 (b) was lost")]).reasons
    assert [reason.name for reason in reasons if voids(reason.name)] == ["crash", "reply.attempted", "generator.lag_void"]
    assert [reason.name for reason in reasons if not voids(reason.name)] == ["workers.lost", "generator.lag_p99", "generator.lag_max"]


def test_limits_can_be_overridden() -> None:
    """In people's words or numbers; what applied is in the reasons."""
    limits = limits_with({"generator.lag_p99": "200ms", "generator.cpu": "99%", "generator.lag_void": 5, "schedule.dropped": "5%"})
    assert {name: limits[name] for name in limits if limits[name] != LIMITS[name]} == {
        "generator.lag_p99": 0.2,
        "generator.cpu": 0.99,
        "generator.lag_void": 5.0,
        "schedule.dropped": 0.05,
    }
    assert examine(totals(generator__lag=150_000), limits=limits).state == "valid"
    assert limits_with(None) == LIMITS
    for bad in ({"generator.speed": 1}, {"generator.cpu": "fast"}, {"generator.lag_p99": "5%"}):
        with pytest.raises(SettingsError):
            limits_with(bad)


CODES = {"void": 4, "failed": 3, "regressed": 5, "interrupted": 130, "errors": 1, "passed": 0}


@pytest.mark.parametrize(
    ("state", "judged", "regressed", "ended_by", "failing"),
    list(product(["valid", "suspect", "void"], ["none", "good", "bad"], [False, True], ["time", "user", "signal", "crash"], [False, True])),
)
def test_the_highest_row_applies(state: str, judged: str, regressed: bool, ended_by: str, failing: bool) -> None:
    """Void before failed before regressed before interrupted before errors before passed, in every combination."""
    rows = [
        ("void", state == "void" or ended_by == "crash"),
        ("failed", judged == "bad"),
        ("regressed", regressed),
        ("interrupted", ended_by == "signal"),
        ("errors", failing and judged == "none"),
        ("passed", True),
    ]
    expected = next(word for word, applies in rows if applies)
    lines = {"none": [], "good": [Judged("a", True, 1, "")], "bad": [Judged("a", True, 1, ""), Judged("b", False, None, "ms")]}[judged]
    seen = totals({"http.contact.create.failed": 1} if failing else {})
    verdict = pronounce(seen, Validity(state, ()), lines, ended_by=ended_by, regressed=regressed)
    assert (verdict.word, verdict.exit_code) == (expected, CODES[expected])


@pytest.mark.parametrize(
    ("counters", "failed"),
    [
        ({}, 0),
        ({"reply.late": 5}, 0),
        ({"reply.recovered": 5}, 0),
        ({"http.contact.create.failed": 2}, 2),
        ({"reply.lost": 3}, 3),
        ({"reply.refused": 4, "http.agent.message.create.failed": 4}, 4),
        ({"reply.refused": 4, "http.agent.message.create.failed": 1}, 4),
        ({"user.failed": 1}, 1),
    ],
)
def test_what_counts_as_a_failed_request(counters: dict[str, int], failed: int) -> None:
    """Refused and lost replies, and failed requests of every route; each reply once."""
    assert requests_failed(totals(counters)) == failed
