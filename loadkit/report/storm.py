"""A reconnect storm on the page: cables cut on purpose, who was back when, and what the coming back cost."""

from __future__ import annotations

from statistics import median
from typing import Any

from loadkit import units
from loadkit.report.drawing import ms_text
from loadkit.report.tables import Table
from loadkit.results.reader import Bin, Run

__all__ = ["table"]

_AFTERMATH_S = 30.0
"""How long after a cut requests count as its aftermath."""


def table(run: Run, summary: dict[str, Any]) -> Table | None:
    """Return what a storm did; None where the scenario cut nothing."""
    cut = summary["counters"]["cable.cut"]
    if not cut:
        return None
    back, replies = summary["metrics"]["cable.reconnect"], summary["replies"]
    rows = [
        ("cables cut on purpose", units.count_text(cut)),
        ("came back (those that broke by themselves included)", units.count_text(back["count"])),
        ("half of them within", ms_text(back["p50"])),
        ("95 % within", ms_text(back["p95"])),
        ("all within", ms_text(back["max"])),
        *_requests(run),
        ("replies that the gap swallowed and the refetch brought", units.count_text(replies["recovered"])),
        ("replies that never came", units.count_text(replies["lost"])),
    ]
    return Table(("", "seen"), "lr", rows)


def _requests(run: Run) -> list[tuple[str, str]]:
    """Return the rows about HTTP: the usual rate before the first cut, and the highest after a cut."""
    moments = [span.start_s for span in run.bins if span.totals.counters.get("cable.cut")]
    before = [_rate(span) for span in run.bins if span.end_s <= moments[0]] if moments else []
    after = [_rate(span) for span in run.bins if any(0 <= span.start_s - moment <= _AFTERMATH_S for moment in moments)]
    rows = [("HTTP requests a second before (median)", f"{median(before):.3g}")] if before else []
    return rows + ([("HTTP requests a second at the peak after it", f"{max(after):.3g}")] if after else [])


def _rate(span: Bin) -> float:
    requests = sum(histogram.count for name, histogram in span.totals.histograms.items() if name.startswith("http."))
    return requests / (span.end_s - span.start_s)
