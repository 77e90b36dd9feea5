"""Samples become intervals, intervals become totals: the only holder of live counters.

An interval is the one thing that travels, to the disk and from a worker to its master; adding intervals in any order gives the run.
"""

from __future__ import annotations

from typing import Any

import msgspec

from loadkit import clock
from loadkit.measure.histogram import Histogram
from loadkit.measure.metrics import ENDS, find

__all__ = ["ErrorRow", "Interval", "Recorder", "Totals"]

MOST_ERRORS = 200
MOST_EVENTS = 200
EXAMPLE_LENGTH = 300


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


class Recorder:
    """Takes the samples of one process and cuts them into intervals."""

    def __init__(self, *, worker: int = 0) -> None:
        self.worker = worker
        self.frames: dict[str, list[int]] = {}
        self._seq = 0
        self._start_us = clock.unix_us()
        self._gauges: dict[str, float] = {}
        self._reset()

    def _reset(self) -> None:
        self._counters: dict[str, int] = {}
        self._histograms: dict[str, Histogram] = {}
        self._errors: dict[tuple[str, str], ErrorRow] = {}
        self._events: list[dict[str, Any]] = []
        self._deliveries: list[str] = []

    def latency(self, name: str, value_us: int, quality: str | None = None) -> None:
        """Record one latency (µs) of a declared metric, with the quality of its receive stamp where it ends on one."""
        histogram = self._histograms.get(name)
        if histogram is None:
            self._check(name, "latency")
            histogram = self._histograms[name] = Histogram()
        histogram.record(value_us)
        if quality is not None:
            histogram.qualify(quality)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a declared counter; a negative number takes back what was counted before."""
        if name not in self._counters:
            self._check(name, "counter")
        self._counters[name] = self._counters.get(name, 0) + n

    def gauge(self, name: str, value: float) -> None:
        """Set a declared gauge; it keeps its value over the intervals until it is set again."""
        if name not in self._gauges:
            self._check(name, "gauge")
        self._gauges[name] = value

    def error(self, kind: str, where: str, example: str = "", *, count: int = 1) -> None:
        """Fold an error under a kind and a place; kinds past the first two hundred fold into `other`."""
        now = clock.unix_us()
        row = self._errors.get((kind, where))
        if row is None:
            if len(self._errors) >= MOST_ERRORS:
                kind, where, example = "other", "", "more kinds of errors than are kept apart"
            row = self._errors.setdefault((kind, where), ErrorRow(kind, where, 0, now, now, example[:EXAMPLE_LENGTH]))
        row.count += count
        row.last_us = now

    def event(self, kind: str, **fields: Any) -> None:
        """Keep a single happening for events.jsonl: a lost or slow reply, a note. At most two hundred an interval."""
        if len(self._events) < MOST_EVENTS:
            self._events.append({"at_us": clock.unix_us(), "kind": kind, **fields})

    def delivery(self, line: str) -> None:
        """Keep a line for deliveries.csv."""
        self._deliveries.append(line)

    @staticmethod
    def _check(name: str, kind: str) -> None:
        metric = find(name)
        if metric is None or metric.kind != kind:
            raise KeyError(f"{name} is no {kind} of the catalogue")

    def cut(self) -> Interval:
        """Return what was recorded since the last cut and begin anew; gauges stay."""
        now = clock.unix_us()
        frames = {name: (n, size) for name, (n, size) in self.frames.items() if n}
        self.frames.clear()
        interval = Interval(
            seq=self._seq,
            worker=self.worker,
            start_us=self._start_us,
            end_us=max(now, self._start_us + 1),
            counters={name: n for name, n in self._counters.items() if n},
            gauges=dict(self._gauges),
            histograms=self._histograms,
            frames=frames,
            errors=list(self._errors.values()),
            events=self._events,
            deliveries=self._deliveries,
        )
        self._seq += 1
        self._start_us = interval.end_us
        self._reset()
        return interval


class Totals:
    """The sum of intervals: what a verdict is spoken over, while a run lasts and after it."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.gauges: dict[str, float] = {}
        self.highest: dict[str, float] = {}
        self.histograms: dict[str, Histogram] = {}
        self.frames: dict[str, list[int]] = {}
        self.errors: dict[tuple[str, str], ErrorRow] = {}
        self.start_us: int | None = None
        self.end_us: int | None = None

    def add(self, interval: Interval) -> None:
        """Merge one interval; gauges keep their newest and their highest value."""
        for name, n in interval.counters.items():
            self.counters[name] = self.counters.get(name, 0) + n
        for name, histogram in interval.histograms.items():
            self.histograms.setdefault(name, Histogram()).add(histogram)
        for name, (n, size) in interval.frames.items():
            pair = self.frames.setdefault(name, [0, 0])
            pair[0] += n
            pair[1] += size
        for name, value in interval.gauges.items():
            self.gauges[name] = value
            self.highest[name] = max(value, self.highest.get(name, value))
        for row in interval.errors:
            self._fold(row)
        self.start_us = interval.start_us if self.start_us is None else min(self.start_us, interval.start_us)
        self.end_us = interval.end_us if self.end_us is None else max(self.end_us, interval.end_us)

    def _fold(self, row: ErrorRow) -> None:
        mine = self.errors.get((row.kind, row.where))
        if mine is None:
            self.errors[row.kind, row.where] = ErrorRow(row.kind, row.where, row.count, row.first_us, row.last_us, row.example)
            return
        mine.count += row.count
        mine.first_us = min(mine.first_us, row.first_us)
        mine.last_us = max(mine.last_us, row.last_us)

    def settle(self) -> int:
        """Turn replies that have no end, because their process died, into undetermined ones; return how many they were."""
        ended = sum(self.counters.get(f"reply.{end}", 0) for end in ENDS)
        open_ones = self.counters.get("reply.attempted", 0) - ended
        if open_ones:
            self.counters["reply.undetermined"] = self.counters.get("reply.undetermined", 0) + open_ones
        return open_ones

    def reply(self, end: str) -> int:
        """Return how many replies ended so (or carry such a mark, or were attempted or accepted)."""
        if end == "accepted":
            return self.reply("attempted") - self.reply("refused")
        return self.counters.get(f"reply.{end}", 0)
