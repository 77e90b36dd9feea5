"""Samples become intervals, intervals become totals: the only holder of live counters.

An interval is the one thing that travels, to the disk and from a worker to its master; adding intervals in any order gives the run
(only gauges, which say how things stand, want the order of time).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from loadkit import clock
from loadkit.measure.happenings import Happenings
from loadkit.measure.histogram import QUALITIES, Histogram
from loadkit.measure.metrics import ENDS, find
from loadkit.measure.workers import WorkerTotals

__all__ = ["BROKEN", "KNOWN_DEFECT", "MASTER", "ErrorRow", "Interval", "Recorder", "Totals"]

BROKEN = "broken"
"""The kind of an error of the generator's own, which voids a run; its place says what broke."""

KNOWN_DEFECT = "known_defect"
"""The kind of an error that is told and counts as no failure: the server answers so whatever the load."""

MASTER = -1
"""The worker's number of what the master itself records: it generates nothing."""

MOST_ERRORS = 200
EXAMPLE_LENGTH = 300
GAUGE_LASTS_US = 3_000_000
OTHER_ERRORS = ("other", "", "more kinds of errors than are kept apart")


class ErrorRow(msgspec.Struct):
    """Errors of one kind at one place, folded: how many, when first and last (Unix µs), and one example of the text."""

    kind: str
    where: str
    count: int = 0
    first_us: int = 0
    last_us: int = 0
    example: str = ""


class Interval(msgspec.Struct):
    """What one process saw between two moments (Unix µs). Counters may be negative: ends are provisional while a run lasts."""

    seq: int
    worker: int
    start_us: int
    end_us: int
    counters: dict[str, int] = msgspec.field(default_factory=dict)
    gauges: dict[str, float] = msgspec.field(default_factory=dict)
    histograms: dict[str, Histogram] = msgspec.field(default_factory=dict)
    frames: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    errors: list[ErrorRow] = msgspec.field(default_factory=list)
    events: list[dict[str, Any]] = msgspec.field(default_factory=list)
    deliveries: list[str] = msgspec.field(default_factory=list)
    stages: list[str] = msgspec.field(default_factory=list)


class Recorder:
    """Takes the samples of one process and cuts them into intervals. Latencies are kept as they come and find their buckets at the cut."""

    def __init__(self, *, worker: int = 0) -> None:
        self.worker = worker
        self.frames: dict[str, list[int]] = {}
        self._seq = 0
        self._unix_offset_us = clock.unix_us() - clock.now_us()
        self._start_us = self._unix_us()
        self._gauges: dict[str, float] = {}
        self._latencies: dict[tuple[str, str | None], list[int]] = {}
        self.happenings = Happenings()
        self._reset()

    def _unix_us(self) -> int:
        """Return Unix time by the offset at the start: a wall clock that is set in mid-run neither stretches nor folds an interval."""
        return clock.now_us() + self._unix_offset_us

    def _reset(self) -> None:
        self._counters: dict[str, int] = {}
        self._errors: dict[tuple[str, str], ErrorRow] = {}
        self._deliveries: list[str] = []
        self._stages: list[str] = []

    def latency(self, name: str, value_us: int, quality: str | None = None) -> None:
        """Record one latency (µs) of a declared metric, with the quality of its receive stamp where it ends on one."""
        values = self._latencies.get((name, quality))
        if values is None:
            values = self._values(name, quality)
        values.append(value_us)

    def into(self, name: str, quality: str | None = None) -> Callable[[int], None]:
        """Return what records latencies of one metric and quality, over all cuts: for a caller at whom every frame arrives."""
        return self._values(name, quality).append

    def _values(self, name: str, quality: str | None) -> list[int]:
        """Return the list, ever the same, that collects these latencies until the cut."""
        self._check(name, "latency")
        if quality is not None and quality not in QUALITIES:
            raise ValueError(f"{quality!r} is no quality of a stamp: there are {', '.join(QUALITIES)}")
        return self._latencies.setdefault((name, quality), [])

    def count(self, name: str, n: int = 1) -> None:
        """Add to a declared counter; a negative number takes back what was counted before."""
        counters = self._counters
        if name in counters:
            counters[name] += n
        else:
            self._check(name, "counter")
            counters[name] = n

    def gauge(self, name: str, value: float) -> None:
        """Set a declared gauge; it keeps its value over the intervals until it is set again."""
        if name not in self._gauges:
            self._check(name, "gauge")
        self._gauges[name] = float(value)

    def error(self, kind: str, where: str, example: str = "", *, count: int = 1) -> None:
        """Fold an error under a kind and a place; kinds past the first two hundred fold into `other`."""
        now = self._unix_us()
        row = self._errors.get((kind, where))
        if row is None:
            if len(self._errors) >= MOST_ERRORS and kind != BROKEN:
                kind, where, example = OTHER_ERRORS
            row = self._errors.setdefault((kind, where), ErrorRow(kind, where, 0, now, now, example[:EXAMPLE_LENGTH]))
        row.count += count
        row.last_us = now

    def event(self, kind: str, **fields: Any) -> None:
        """Keep a single happening for events.jsonl: a lost reply, a note. At most two hundred an interval; a note counts the others."""
        self.happenings.add(self._unix_us(), kind, fields)

    def slow(self, value_us: int, facts: Callable[[], dict[str, Any]]) -> None:
        """Offer a reply for the slowest ones of events.jsonl; its facts are asked for at the cut, and only of those that are told."""
        self.happenings.slow(value_us, facts)

    def delivery(self, line: str) -> None:
        """Keep a line for deliveries.csv."""
        self._deliveries.append(line)

    def stages(self, line: str) -> None:
        """Keep a line for stages.csv."""
        self._stages.append(line)

    @staticmethod
    def _check(name: str, kind: str) -> None:
        metric = find(name)
        if metric is None or metric.kind != kind:
            raise KeyError(f"{name} is no {kind} of the catalogue")

    def cut(self) -> Interval:
        """Return what was recorded since the last cut and begin anew; gauges stay."""
        now = self._unix_us()
        frames = {name: (n, size) for name, (n, size) in self.frames.items() if n}
        self.frames.clear()
        interval = Interval(
            seq=self._seq,
            worker=self.worker,
            start_us=self._start_us,
            end_us=max(now, self._start_us + 1),
            counters={name: n for name, n in self._counters.items() if n},
            gauges=dict(self._gauges),
            histograms=self._bucketed(),
            frames=frames,
            errors=list(self._errors.values()),
            events=self.happenings.cut(now),
            deliveries=self._deliveries,
            stages=self._stages,
        )
        self._seq += 1
        self._start_us = interval.end_us
        self._reset()
        return interval

    def _bucketed(self) -> dict[str, Histogram]:
        histograms: dict[str, Histogram] = {}
        for (name, quality), values in self._latencies.items():
            if values:
                histograms.setdefault(name, Histogram()).record_all(values, quality)
                values.clear()
        return histograms


class Totals:
    """The sum of intervals: what a verdict is spoken over, while a run lasts and after it."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.gauges: dict[str, float] = {}
        self.highest: dict[str, float] = {}
        self.histograms: dict[str, Histogram] = {}
        self.frames: dict[str, list[int]] = {}
        self.errors: dict[tuple[str, str], ErrorRow] = {}
        self.workers: dict[int, WorkerTotals] = {}
        self._supposed = 0
        self._standing: dict[str, dict[int, tuple[int, int, float]]] = {}
        self.start_us: int | None = None
        self.end_us: int | None = None

    def add(self, interval: Interval) -> None:
        """Merge one interval; gauges keep their newest and their highest value, each over the workers together."""
        for name, n in interval.counters.items():
            self.counters[name] = self.counters.get(name, 0) + n
        for name, histogram in interval.histograms.items():
            self.histograms.setdefault(name, Histogram()).add(histogram)
        for name, (n, size) in interval.frames.items():
            pair = self.frames.setdefault(name, [0, 0])
            pair[0] += n
            pair[1] += size
        for name, value in interval.gauges.items():
            self._stand(name, value, interval)
        for row in interval.errors:
            self._fold(row)
        if interval.worker != MASTER:
            self.workers.setdefault(interval.worker, WorkerTotals()).add(interval)
        self.start_us = interval.start_us if self.start_us is None else min(self.start_us, interval.start_us)
        self.end_us = interval.end_us if self.end_us is None else max(self.end_us, interval.end_us)

    def _stand(self, name: str, value: float, interval: Interval) -> None:
        """Note a worker's gauge and bring the gauge of all workers up to date; a worker that fell silent stops counting."""
        workers, end_us = self._standing.setdefault(name, {}), interval.end_us
        if interval.worker in workers and workers[interval.worker][0] > end_us:
            return
        lasts_us = max(3 * (end_us - interval.start_us), GAUGE_LASTS_US)
        workers[interval.worker] = (end_us, end_us + lasts_us, value)
        for silent in [worker for worker, (_, until_us, _) in workers.items() if until_us < end_us]:
            del workers[silent]
        values, metric = [one for _, _, one in workers.values()], find(name)
        self.gauges[name] = sum(values) if metric is None or metric.adds_up else max(values)
        self.highest[name] = max(self.gauges[name], self.highest.get(name, self.gauges[name]))

    def _fold(self, row: ErrorRow) -> None:
        kind, where, example = row.kind, row.where, row.example
        if (kind, where) not in self.errors and len(self.errors) >= MOST_ERRORS and kind != BROKEN:
            kind, where, example = OTHER_ERRORS
        mine = self.errors.get((kind, where))
        if mine is None:
            self.errors[kind, where] = ErrorRow(kind, where, row.count, row.first_us, row.last_us, example)
            return
        mine.count += row.count
        if row.first_us < mine.first_us:
            mine.first_us, mine.example = row.first_us, example
        mine.last_us = max(mine.last_us, row.last_us)

    def settle(self) -> int:
        """Turn replies that have no end, because their process died, into undetermined ones; return how many they were."""
        ended = sum(self.counters.get(f"reply.{end}", 0) for end in ENDS)
        open_ones = self.counters.get("reply.attempted", 0) - ended
        unexplained = -(open_ones + self._supposed)
        if unexplained > 0:  # ends whose attempts were in an interval that never came: they were attempted all the same
            self.counters["reply.attempted"] = self.counters.get("reply.attempted", 0) + unexplained
            open_ones += unexplained
        if open_ones:
            self._supposed += open_ones
            self.counters["reply.undetermined"] = self.counters.get("reply.undetermined", 0) + open_ones
        return open_ones

    def histogram(self, name: str) -> Histogram:
        """Return the histogram of a latency, an empty one where there is no data."""
        return self.histograms.get(name) or Histogram()

    @property
    def copies_missing(self) -> int:
        """How many further copies of accepted replies were owed to other sessions and not seen there."""
        return self.counters.get("copies.owed", 0) - self.counters.get("copies.seen", 0)

    @property
    def undetermined_share(self) -> float:
        """The share of the accepted replies that stayed undetermined."""
        accepted = self.reply("accepted")
        return self.reply("undetermined") / accepted if accepted else 0.0

    def reply(self, end: str) -> int:
        """Return how many replies ended so (or carry such a mark, or were attempted or accepted)."""
        if end == "accepted":
            return self.reply("attempted") - self.reply("refused")
        return self.counters.get(f"reply.{end}", 0)
