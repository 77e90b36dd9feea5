"""A run's bins as columns on one even time axis. Where a span holds no data there is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass

from loadkit import units
from loadkit.measure.recorder import Totals
from loadkit.results.reader import Run

__all__ = ["Timeline", "timeline"]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Spans of `width_s` seconds from the run's start on; a span in which nothing was written is None."""

    width_s: float
    spans: tuple[Totals | None, ...]

    @property
    def middles(self) -> list[float]:
        """The middle of every span, in seconds since the start."""
        return [(n + 0.5) * self.width_s for n in range(len(self.spans))]

    @property
    def seconds(self) -> float:
        """Where the last span ends."""
        return len(self.spans) * self.width_s

    def percentile(self, name: str, percent: float) -> list[float | None]:
        """Return a latency's percentile of every span, in ms."""
        found = (None if span is None else span.histograms.get(name) for span in self.spans)
        return [None if histogram is None else units.ms(histogram.percentile(percent)) for histogram in found]

    def values(self, name: str) -> list[int | None]:
        """Return how many values a latency has within every span."""
        return [None if span is None else span.histograms[name].count if name in span.histograms else 0 for span in self.spans]

    def counter(self, name: str) -> list[int | None]:
        """Return what was counted within every span; corrections of earlier ends can make it negative."""
        return [None if span is None else span.counters.get(name, 0) for span in self.spans]

    def rates(self, name: str, spans: int) -> list[float | None]:
        """Return what was counted per second, a value for every so many spans; spans in which nothing was written do not count."""
        counts = self.counter(name)
        groups = ([n for n in counts[at : at + spans] if n is not None] for at in range(0, len(counts), spans))
        return [sum(group) / (len(group) * self.width_s) if group else None for group in groups]

    def middles_of(self, spans: int) -> list[float]:
        """Return the middles that belong to `rates`, in seconds since the start."""
        whole = len(self.spans)
        return [(at + min(at + spans, whole)) / 2 * self.width_s for at in range(0, whole, spans)]

    def gauge(self, name: str) -> list[float | None]:
        """Return a gauge's last value within every span."""
        return [None if span is None else span.gauges.get(name) for span in self.spans]


def timeline(run: Run) -> Timeline:
    """Return the bins of a run with the holes between them made visible."""
    if not run.bins:
        return Timeline(1.0, ())
    width = run.bins[0].end_s - run.bins[0].start_s
    placed = {round(span.start_s / width): span.totals for span in run.bins}
    return Timeline(width, tuple(placed.get(n) for n in range(max(placed) + 1)))
