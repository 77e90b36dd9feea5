"""What each worker of a run contributed: its replies, its health, and how many of its intervals came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadkit.measure.histogram import Histogram
from loadkit.measure.metrics import ENDS

if TYPE_CHECKING:
    from loadkit.measure.recorder import Interval

__all__ = ["WorkerTotals"]

_ENDS = tuple(f"reply.{end}" for end in ENDS)


class WorkerTotals:
    """The sum of one worker's intervals, as far as a row of a table wants it."""

    def __init__(self) -> None:
        self.intervals = 0
        self.attempted = 0
        self.ended = 0
        self.undetermined = 0
        self.offered = self.unstarted = self.inside = 0
        """Arrivals: intended here, neither started nor dropped, and started and not done."""
        self.lag = Histogram()
        self.highest: dict[str, float] = {}

    @property
    def open(self) -> int:
        """Replies without an end: what was in flight, if its process died."""
        return self.attempted - self.ended

    def add(self, interval: Interval) -> None:
        """Add an interval of this worker's."""
        counters = interval.counters
        self.intervals += 1
        self.attempted += counters.get("reply.attempted", 0)
        self.ended += sum(counters.get(end, 0) for end in _ENDS)
        self.undetermined += counters.get("reply.undetermined", 0)
        offered, started = counters.get("schedule.offered", 0), counters.get("schedule.started", 0)
        self.offered += offered
        self.unstarted += offered - started - counters.get("schedule.dropped", 0)
        self.inside += started - counters.get("iteration.finished", 0) - counters.get("iteration.cut", 0)
        if "generator.lag" in interval.histograms:
            self.lag.add(interval.histograms["generator.lag"])
        for name, value in interval.gauges.items():
            self.highest[name] = max(value, self.highest.get(name, value))
