"""A reconnect storm on the page: cables cut on purpose, who was back when, and what the coming back cost."""

from __future__ import annotations

from statistics import median
from typing import Any

from loadkit import units
from loadkit.measure.histogram import Histogram
from loadkit.report.drawing import ms_text
from loadkit.report.tables import Table
from loadkit.results.reader import Bin, Run

__all__ = ["table"]

_AFTERMATH_S = 30.0
"""How long after a cut requests count as its aftermath."""

_REFETCH = "http.message.list"


def table(run: Run, summary: dict[str, Any]) -> Table | None:
    """Return what a storm did; None where the scenario cut nothing."""
    cut, replies = summary["counters"]["cable.cut"], summary["replies"]
    if not cut:
        return None
    rows = [
        ("cables cut on purpose", units.count_text(cut)),
        ("how they come back (--reconnect)", str(run.header.settings.get("reconnect", "–"))),
        *_returns(run, summary["counters"]["cable.dropped"], cut),
        *_requests(run),
        ("replies that missed the cable", units.count_text(replies["recovered"] + replies["lost"])),
        ("of these, read back over HTTP", units.count_text(replies["recovered"])),
        ("of these, never seen", units.count_text(replies["lost"])),
    ]
    return Table(("", "seen"), "lr", rows)


def _returns(run: Run, dropped: int, cut: int) -> list[tuple[str, str]]:
    """Return the rows about the cables: shares are of all that broke, so that those who stay away are not left out of them."""
    back = run.totals.histogram("cable.reconnect")
    rows = [("cables that broke by themselves besides", units.count_text(dropped - cut))] if dropped > cut else []
    rows.append(("came back", f"{units.count_text(back.count)} of {units.count_text(dropped)}"))
    return rows + [(f"{share} % were back within", _within(back, -(-share * dropped // 100))) for share in (50, 95, 100)]


def _within(back: Histogram, rank: int) -> str:
    """Return how long it took until so many were back."""
    if rank > back.count:
        return "not in this run"
    return ms_text(units.ms(back.percentile(100 * (rank - 0.5) / back.count)))


def _requests(run: Run) -> list[tuple[str, str]]:
    """Return the rows about HTTP: the usual rate before the first cut, and the highest after a cut."""
    moments = [span.start_s for span in run.bins if span.totals.counters.get("cable.cut")]
    before = [_rate(span) for span in run.bins if span.end_s <= moments[0]] if moments else []
    after = [span for span in run.bins if any(0 <= span.start_s - moment <= _AFTERMATH_S for moment in moments)]
    rows = [("HTTP requests answered a second before (median)", f"{median(before):.3g}")] if before else []
    if not after:
        return rows
    peak = max(after, key=_rate)
    width = units.seconds_text(peak.end_s - peak.start_s)
    rows.append((f"HTTP requests answered a second at the peak after it (over {width})", f"{_rate(peak):.3g}"))
    rows.append(("reads of messages a second at their own peak", f"{max(_rate(span, _REFETCH) for span in after):.3g}"))
    return rows


def _rate(span: Bin, route: str = "http.") -> float:
    requests = sum(histogram.count for name, histogram in span.totals.histograms.items() if name.startswith(route))
    return requests / (span.end_s - span.start_s)
