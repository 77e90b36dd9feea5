"""Where the replies' time went, as the summary tells it: stage by stage, each observed or inferred, and what binds the server's clock."""

from __future__ import annotations

from typing import Any

from loadkit import units
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Totals

__all__ = ["STAGES", "server_clock", "stages"]

STAGES = {"lag": "observed", "before_save": "inferred", "after_save": "inferred"}
"""The stages from due to received, in their order, and how each is known."""


def stages(totals: Totals) -> list[dict[str, Any]]:
    """Return a row a stage; `share` is its part of the mean response, None where the stages cannot all be told.

    Means are over the replies that came, so that they add up; percentiles are the metric's, and those of different stages do not.
    """
    found = {name: _histogram(totals, f"reply.{name}") for name in STAGES}
    means = _means(totals, found)
    whole = sum(means.values())
    uncertain = _histogram(totals, "clock.uncertainty")
    rows = []
    for name, basis in STAGES.items():
        p50, p99 = found[name].percentiles((50, 99))
        row = {"name": name, "metric": f"reply.{name}", "basis": basis, "count": found[name].count, "mean_ms": units.ms(means.get(name))}
        row |= {"p50_ms": units.ms(p50), "p99_ms": units.ms(p99), "share": means[name] / whole if whole and name in means else None}
        row["uncertainty_ms"] = units.ms(uncertain.percentile(50)) if basis == "inferred" else None
        rows.append(row)
    return rows


def server_clock(totals: Totals) -> dict[str, Any]:
    """Return by how much the server's clock is ahead of ours, and how uncertain that left the moments of saving; None without data."""
    uncertain = _histogram(totals, "clock.uncertainty")
    return {
        "offset_ms": totals.gauges.get("clock.offset"),
        "uncertainty_ms": units.ms(uncertain.percentile(50)),
        "uncertainty_max_ms": units.ms(uncertain.max_us),
        "replies": uncertain.count,
    }


def _means(totals: Totals, found: dict[str, Histogram]) -> dict[str, float]:
    """Return the mean of every stage in µs; nothing where one of them has no data."""
    response, delivery = _histogram(totals, "reply.response").mean_us, _histogram(totals, "reply.delivery").mean_us
    before, after = found["before_save"].mean_us, found["after_save"].mean_us
    if response is None or delivery is None or before is None or after is None:
        return {}
    return {"lag": max(0.0, response - delivery), "before_save": before, "after_save": after}


def _histogram(totals: Totals, name: str) -> Histogram:
    return totals.histograms.get(name) or Histogram()
