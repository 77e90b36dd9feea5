"""The open model on the page: what became of the arrivals that the schedule intended, in sums, by reason, and over the run's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadkit import units
from loadkit.report.drawing import Chart, line, ms_text, over_run, time_chart
from loadkit.report.tables import Table
from loadkit.report.timeline import Timeline
from loadkit.results.reader import Run

__all__ = ["Sums", "drops", "lag", "rates", "sums", "text"]

_DROPPED = "schedule.dropped."
_REASONS = {
    "cap_reached": "all the customers that -u allows at once were there",
    "no_idle_user": "users were still being made ready, or had ended",
    "generator_late": "the generator itself was more than a second late",
    "worker_lost": "the worker whose turn it was, was gone",
    "stopped": "the run stopped while they waited to start",
}
_ENOUGH = 10
"""Arrivals that a point should stand for: fewer are mostly chance."""

_FEWEST_POINTS = 20


@dataclass(frozen=True, slots=True)
class Sums:
    """What became of the arrivals: offered = started + dropped + waiting, started = finished + cut + inside.

    Only a process that died leaves any `waiting` (to be started) or `inside`.
    """

    offered: int
    started: int
    dropped: int
    finished: int
    cut: int
    reasons: dict[str, int]

    @property
    def waiting(self) -> int:
        """Arrivals that were neither started nor dropped when their process died."""
        return self.offered - self.started - self.dropped

    @property
    def inside(self) -> int:
        """Arrivals that were under way when their process died."""
        return self.started - self.finished - self.cut


def sums(summary: dict[str, Any]) -> Sums | None:
    """Return the sums of a run's arrivals; None for a closed model, which has none."""
    counters = summary["counters"]
    if not counters["schedule.offered"]:
        return None
    reasons = {name.removeprefix(_DROPPED): n for name, n in counters.items() if name.startswith(_DROPPED) and n}
    return Sums(
        offered=counters["schedule.offered"],
        started=counters["schedule.started"],
        dropped=counters["schedule.dropped"],
        finished=counters["iteration.finished"],
        cut=counters["iteration.cut"],
        reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
    )


def drops(found: Sums) -> Table:
    """Return the dropped arrivals by reason, the most frequent first."""
    rows = [
        (reason.replace("_", " "), units.count_text(n), units.share_text(n / found.offered), _REASONS.get(reason, ""))
        for reason, n in found.reasons.items()
    ]
    note = "Shares are of the arrivals offered." if rows else ""
    return Table(("dropped for", "arrivals", "share", "which means"), "lrrl", rows, note)


def lag(summary: dict[str, Any]) -> Table:
    """Return how late the arrivals started that did."""
    metric, columns = summary["metrics"]["schedule.lag"], ("p50", "p99", "max")
    values = [ms_text(metric[column]) for column in columns]
    return Table(("schedule.lag", *columns), "lrrr", [("from the intended start to the start", *values)])


def text(found: Sums) -> str:
    """Return the sums as one sentence."""
    reasons = ", ".join(f"{units.count_text(n)} {reason.replace('_', ' ')}" for reason, n in found.reasons.items())
    whole = f"{units.count_text(found.started)} started + {units.count_text(found.dropped)} dropped{f' ({reasons})' if reasons else ''}"
    parts = f"{units.count_text(found.finished)} finished + {units.count_text(found.cut)} cut"
    if found.waiting:
        whole += f" + {units.count_text(found.waiting)} waiting when their process died"
    if found.inside:
        parts += f" + {units.count_text(found.inside)} inside when their process died"
    return f"{units.count_text(found.offered)} arrivals offered = {whole}; {units.count_text(found.started)} started = {parts}"


def rates(run: Run, time: Timeline) -> Chart | None:
    """Return arrivals offered, started and finished per second over the run; None where nothing was offered."""
    offered = sum(n or 0 for n in time.counter("schedule.offered"))
    if not offered:
        return None
    spans = _spans_a_point(len(time.spans), offered)
    figure = over_run(run, time)
    middles = time.middles_of(spans)
    for name, counter, width in (
        ("offered", "schedule.offered", 5.5),
        ("started", "schedule.started", 2.6),
        ("finished", "iteration.finished", 1.6),
    ):
        trace = line(time, name, time.rates(counter, spans), name, width=width)
        figure.add_scatter(**trace | {"x": middles}, hovertemplate="%{y:.3g}/s")
    figure.update_layout(yaxis={"rangemode": "tozero", "title": {"text": "arrivals per second"}})
    caption = (
        "Customers that the schedule wanted to come, that came, and that were done, per second. While the system keeps up the three lie "
        "together, the last as much later as a customer stays. Offered above started: arrivals were dropped, or came late. Started above "
        "finished for long: customers pile up inside, because the system does not keep up. "
        f"A point is the mean of {units.seconds_text(spans * time.width_s)}."
    )
    if run.totals.counters.get(f"{_DROPPED}worker_lost"):
        caption += " What a lost worker did not start stands at the end of the run, where it was counted."
    return time_chart(run, time, "arrival-rates", "Offered, started and finished per second", caption, figure)


def _spans_a_point(spans: int, offered: int) -> int:
    """Return how many spans make a point: enough for ten arrivals, as long as twenty points remain."""
    enough = -(-_ENOUGH * spans // offered)
    return max(1, min(enough, spans // _FEWEST_POINTS))
