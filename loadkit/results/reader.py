"""Reads a run folder, whole or cut off by a crash, into totals and at most three hundred bins of time.

A torn last line, and what latency.hlog and events.jsonl hold past the last committed interval, are left out.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from loadkit.errors import ResultsError
from loadkit.measure.hdr import decode
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Interval, Totals
from loadkit.results import format as fmt

__all__ = ["Bin", "Run", "find_run", "read"]

MOST_BINS = 300
MOST_EVENTS_OF_A_KIND = 4_000
_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Bin:
    """The sum of the intervals whose middle is within a span; `start_s` and `end_s` are seconds since the run's start."""

    start_s: float
    end_s: float
    totals: Totals


@dataclass(slots=True)
class Run:
    """A run as its folder tells it; `end` is None where the process died, `undecided` counts the replies that this left without an end."""

    folder: Path
    header: fmt.Header
    totals: Totals
    bins: list[Bin]
    end: fmt.End | None
    events: list[dict[str, Any]] = field(default_factory=list)
    undecided: int = 0

    @property
    def seconds(self) -> float:
        """How long the load lasted, by its end or by the last interval."""
        if self.end is not None:
            return self.end.seconds
        return max(0.0, ((self.totals.end_us or self.header.started_us) - self.header.started_us) / 1e6)


def find_run(path: Path) -> Path:
    """Return the run folder that a path means: itself, or the folder of a file in it. Raises ResultsError."""
    folder = path.parent if path.is_file() else path
    if not (folder / fmt.HEADER).is_file():
        raise ResultsError(f"{path} is no run folder: it has no {fmt.HEADER}")
    return folder


def read(path: Path) -> Run:
    """Return the run of a folder. Raises ResultsError for what is no run, or of a newer schema."""
    folder = find_run(path)
    header = _header(folder / fmt.HEADER)
    lines = list(_interval_lines(folder / fmt.INTERVALS))
    end = next((line.ended for line in lines if line.ended is not None), None)
    intervals = [line for line in lines if line.ended is None]
    totals = Totals()
    last = max((line.end for line in intervals), default=header.started_us / 1e6)
    width = _bin_width(last - header.started_us / 1e6)
    bins: dict[int, Totals] = {}
    for interval in _with_histograms(intervals, folder / fmt.HLOG):
        totals.add(interval)
        middle = ((interval.start_us + interval.end_us) / 2 - header.started_us) / 1e6
        bins.setdefault(max(0, math.floor(middle / width)), Totals()).add(interval)
    undecided = totals.settle()
    spans = [Bin(n * width, (n + 1) * width, bins[n]) for n in sorted(bins)]
    return Run(folder, header, totals, spans, end, _events(folder / fmt.EVENTS, sum(line.events for line in intervals)), undecided)


def _header(path: Path) -> fmt.Header:
    try:
        content = path.read_bytes()
        schema = json.loads(content).get("schema")
        if type(schema) is not int or not 1 <= schema <= fmt.SCHEMA:
            raise ResultsError(f"{path} has schema {schema}: this loadkit reads up to {fmt.SCHEMA}")
        return msgspec.json.decode(content, type=fmt.Header)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ResultsError(f"{path} cannot be read: {error}") from None


def _lines(path: Path) -> Iterator[str]:
    """Yield the whole lines of a file; a torn last one and a missing file yield nothing."""
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (line for line in file if line.endswith("\n"))


def _interval_lines(path: Path) -> Iterator[fmt.IntervalLine]:
    for number, line in enumerate(_lines(path), 1):
        try:
            yield msgspec.json.decode(line, type=fmt.IntervalLine)
        except (ValueError, RecursionError) as error:
            raise ResultsError(f"{path}, line {number}, is no interval: {error}") from None


def _with_histograms(lines: list[fmt.IntervalLine], path: Path) -> Iterator[Interval]:
    """Yield intervals; each takes the next `hlog` lines of the histogram log."""
    payloads = (line for line in _lines(path) if line.startswith("Tag="))
    for line in lines:
        counts: dict[str, dict[int, int]] = {}
        for _ in range(line.hlog):
            tag, _, rest = next(payloads, "").partition(",")
            try:
                counts[tag.removeprefix("Tag=")] = decode(rest.rsplit(",", 1)[-1].strip())
            except ValueError as error:
                raise ResultsError(f"{path} does not hold what the intervals promise: {error}") from None
        if any(sum(counts.get(name, {}).values()) != latency.count for name, latency in line.latencies.items()):
            raise ResultsError(f"{path} does not hold what interval {line.seq} of worker {line.worker} promises")
        yield Interval(
            seq=line.seq,
            worker=line.worker,
            start_us=round(line.start * 1e6),
            end_us=round(line.end * 1e6),
            counters=line.counters,
            gauges=line.gauges,
            histograms={name: _histogram(latency, counts.get(name, {})) for name, latency in line.latencies.items()},
            frames=line.frames,
            errors=line.errors,
        )


def _histogram(line: fmt.LatencyLine, counts: dict[int, int]) -> Histogram:
    return Histogram(counts, line.count, line.sum_us, line.over, line.exact, line.bounded, line.user_space)


def _events(path: Path, committed: int) -> list[dict[str, Any]]:
    """Return the committed happenings, at most some thousands of each kind, so that a flood of one does not hide another."""
    events: list[dict[str, Any]] = []
    seen: Counter[str] = Counter()
    for line in itertools.islice(_lines(path), committed):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        kind = str(event.get("kind")) if isinstance(event, dict) else None
        if kind is not None and seen[kind] < MOST_EVENTS_OF_A_KIND:
            seen[kind] += 1
            events.append(event)
    return events


def _bin_width(seconds: float) -> float:
    return next((width for width in _WIDTHS if seconds / width <= MOST_BINS), seconds / MOST_BINS)
