"""Workers' intervals add up to what one process would have measured, in any order; and a day of them does not fill the memory."""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loadkit.measure.histogram import HIGHEST_US, QUALITIES, Histogram
from loadkit.measure.recorder import Interval, Recorder, Totals

LATENCIES = ("reply.response", "http.message.create", "generator.lag")
COUNTERS = ("reply.lost", "cable.dropped", "http.message.create.failed", "reply.refused.throttled")
PERCENTS = (0, 1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100)
MOST_WORKERS = 6

values = st.one_of(st.integers(-2, 4000), st.integers(0, HIGHEST_US + 2), st.sampled_from([0, 2047, 2048, HIGHEST_US, HIGHEST_US + 1]))
samples = st.one_of(
    st.tuples(st.just("latency"), st.sampled_from(LATENCIES), st.tuples(values, st.sampled_from([None, *QUALITIES]))),
    st.tuples(st.just("count"), st.sampled_from(COUNTERS), st.integers(-3, 9)),
    st.tuples(st.just("frame"), st.sampled_from(["ping", "message.created"]), st.integers(1, 5000)),
    st.tuples(st.just("error"), st.sampled_from(["timeout", "cut", "http_500"]), st.integers(1, 4)),
    st.tuples(st.just("cut"), st.just(""), st.none()),
)
steps = st.lists(st.tuples(st.integers(0, MOST_WORKERS - 1), samples), max_size=150)


def play(recorder: Recorder, what: str, name: str, value: Any) -> None:
    """Let a recorder take one sample."""
    if what == "latency":
        recorder.latency(name, *value)
    elif what == "count":
        recorder.count(name, value)
    elif what == "frame":
        pair = recorder.frames.setdefault(name, [0, 0])
        pair[0] += 1
        pair[1] += value
    else:
        recorder.error(name, "somewhere", f"{name} {value}", count=value)


def split(steps: list[tuple[int, Any]], workers: int) -> list[bytes]:
    """Return the intervals, packed as they travel, of that many workers among whom the samples are split."""
    recorders = [Recorder(worker=n) for n in range(workers)]
    packed: list[bytes] = []
    for worker, (what, name, value) in steps:
        recorder = recorders[worker % workers]
        if what == "cut":
            packed.append(msgspec.msgpack.encode(recorder.cut()))
        else:
            play(recorder, what, name, value)
    return packed + [msgspec.msgpack.encode(recorder.cut()) for recorder in recorders]


def together(packed: list[bytes]) -> Totals:
    totals = Totals()
    for one in packed:
        totals.add(msgspec.msgpack.decode(one, type=Interval))
    return totals


@given(steps, st.integers(1, MOST_WORKERS), st.randoms(use_true_random=False))
def test_any_split_over_workers_adds_up(steps: list[tuple[int, Any]], workers: int, order: Random) -> None:
    """Counters are exactly those of all samples together, and every percentile lies in exactly the bucket of one histogram of them all."""
    packed = split(steps, workers)
    order.shuffle(packed)
    totals = together(packed)

    counters: dict[str, int] = {}
    frames: dict[str, list[int]] = {}
    errors: dict[str, int] = {}
    histograms = {name: Histogram() for name in LATENCIES}
    for _, (what, name, value) in steps:
        if what == "latency":
            histograms[name].record(*value)
        elif what == "count":
            counters[name] = counters.get(name, 0) + value
        elif what == "frame":
            pair = frames.setdefault(name, [0, 0])
            frames[name] = [pair[0] + 1, pair[1] + value]
        elif what == "error":
            errors[name] = errors.get(name, 0) + value

    assert {name: n for name, n in totals.counters.items() if n} == {name: n for name, n in counters.items() if n}
    assert totals.frames == frames
    assert {kind: row.count for (kind, _), row in totals.errors.items()} == errors
    for name, histogram in histograms.items():
        merged = totals.histograms.get(name, Histogram())
        assert merged == histogram
        assert merged.percentiles(PERCENTS) == histogram.percentiles(PERCENTS)
    ends = [n for name, n in counters.items() if name == "reply.lost"]
    assert sum(worker.ended for worker in totals.workers.values()) == sum(ends)
    assert sum(worker.intervals for worker in totals.workers.values()) == len(packed)


@given(steps, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(steps: list[tuple[int, Any]], order: Random) -> None:
    """What is shown of errors neither: the earliest example, first and last."""
    packed = split(steps, MOST_WORKERS)
    shuffled = order.sample(packed, len(packed))
    one, other = together(packed), together(shuffled)
    assert one.histograms == other.histograms
    assert (one.start_us, one.end_us) == (other.start_us, other.end_us)
    rows = [{key: (row.count, row.first_us, row.last_us) for key, row in totals.errors.items()} for totals in (one, other)]
    assert rows[0] == rows[1]


# A process of its own, so that its memory is this and nothing else. Every interval is unpacked anew, as on a master.
DAY = """
import gc, os, random, sys
import msgspec
from loadkit.measure.recorder import Interval, Recorder, Totals

WORKERS, HOUR, DAY = 8, 3600, 86400
LATENCIES = [
    "reply.response", "reply.delivery", "reply.post", "reply.lag", "echo.delivery", "question.delivery", "answer.wait", "desk.wait",
    "generator.lag", "generator.read_lag", "cable.ping_gap", "http.message.create", "http.conversation.create", "http.contact.create",
    "http.agent.message.create",
]

def template(worker):
    rng = random.Random(worker)
    recorder = Recorder(worker=worker)
    for name in LATENCIES:
        for _ in range(6):
            recorder.latency(name, int(rng.lognormvariate(10, 1)), "exact" if name == "reply.response" else None)
    for name in ("reply.attempted", "reply.on_time", "question.asked", "desk.taken", "cable.wanted_seconds"):
        recorder.count(name, 20)
    for name in ("cable.open", "cable.wanted", "customers", "desk.waiting", "generator.cpu", "generator.open_files"):
        recorder.gauge(name, rng.random())
    for name in ("ping", "message.created", "conversation.updated"):
        recorder.frames[name] = [30, 9000]
    recorder.error("timeout", "message.create", "")
    return msgspec.msgpack.encode(recorder.cut())

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

unpack = msgspec.msgpack.Decoder(Interval).decode
templates, totals, added, moves = [template(worker) for worker in range(WORKERS)], Totals(), 0, random.Random(1)

def add(seq, start_s, end_s):
    global added
    for packed in templates:
        interval = unpack(packed)
        shift = moves.randrange(1000)  # so that buckets are touched that no interval has touched before
        for histogram in interval.histograms.values():
            histogram.counts = {bucket + shift: n for bucket, n in histogram.counts.items()}
        interval.seq, interval.start_us, interval.end_us = seq, start_s * 1_000_000, end_s * 1_000_000
        if seq % 10:
            interval.errors = []
        else:
            interval.errors[0].example = f"request {seq} of worker {interval.worker} timed out"
            interval.errors[0].kind = "timeout" if seq % 100 else f"odd_{seq}_{interval.worker}"
        totals.add(interval)
        added += 1

for second in range(HOUR):
    add(second, second, second + 1)
after_hour = resident()
for n, second in enumerate(range(HOUR, DAY, 10)):
    add(HOUR + n, second, second + 10)
touched = sum(len(histogram.counts) for histogram in totals.histograms.values())
print(added, totals.counters["reply.attempted"], len(totals.errors), touched, resident() - after_hour)
"""


def test_a_day_of_eight_workers_stays_in_the_memory_of_its_first_hour() -> None:
    """From the end of the first hour to the end of the day the totals of a master grow by at most 10 MB, whatever the errors' texts are."""
    done = subprocess.run([sys.executable, "-c", DAY], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    added, attempted, errors, touched, grown = map(int, done.stdout.split())
    assert added == 8 * (3600 + 8280)
    assert attempted == 20 * added
    assert errors <= 202
    assert touched > 15 * 1000
    assert grown <= 10 * 1024 * 1024
