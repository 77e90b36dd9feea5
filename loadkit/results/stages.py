"""Where the replies' time went, as the summary tells it: stage by stage, each observed or inferred, and what binds the server's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadkit import units
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Totals
from loadkit.measure.stamps import Errors

__all__ = ["STAGES", "against_truth", "server_clock", "stages"]

STAGES = {"lag": "observed", "before_save": "inferred", "after_save": "inferred"}
"""The stages from due to received, in their order, and how each is known."""

ENOUGH = 0.95
"""The share of the replies that must be placed for their means to be added up."""

CLOSE = 0.05
"""The share of the truth by which a stage may be off."""


def stages(totals: Totals) -> list[dict[str, Any]]:
    """Return a row a stage; `share` is its part of the mean response, None where the stages cannot all be told.

    Means are over the replies that came, so that they add up; percentiles are the metric's, and those of different stages do not.
    """
    found = {name: totals.histogram(f"reply.{name}") for name in STAGES}
    means = _means(totals, found)
    whole = sum(means.values())
    uncertain = totals.histogram("clock.uncertainty")
    rows = []
    for name, basis in STAGES.items():
        p50, p99 = found[name].percentiles((50, 99))
        row = {"name": name, "metric": f"reply.{name}", "basis": basis, "count": found[name].count, "mean_ms": units.ms(means.get(name))}
        row |= {"p50_ms": units.ms(p50), "p99_ms": units.ms(p99), "share": means[name] / whole if whole and name in means else None}
        row["uncertainty_ms"] = units.ms(uncertain.percentile(50)) if basis == "inferred" else None
        rows.append(row)
    return rows


def server_clock(totals: Totals) -> dict[str, Any]:
    """Return by how much the server's clock is ahead of ours, and how uncertain that left the moments of saving; None without data.

    Each worker reckons with its own clock, so there is no one offset for several. `replies` could be placed; `contradicted` could not.
    """
    uncertain = totals.histogram("clock.uncertainty")
    return {
        "offset_ms": totals.gauges.get("clock.offset") if len(totals.workers) < 2 else None,
        "uncertainty_ms": units.ms(uncertain.percentile(50)),
        "uncertainty_max_ms": units.ms(uncertain.max_us),
        "replies": uncertain.count,
        "contradicted": totals.counters.get("clock.contradicted", 0),
    }


def against_truth(summary: Mapping[str, Any], true_us: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Return what a summary told of each inferred stage beside what its server says that it was: ms, at p50 and p99.

    `error` is a share of the truth. They agree where it is within five percent, or the difference within what was said to be uncertain
    (and a millisecond, which is all that most servers' dates tell).
    """
    rows = []
    uncertain_ms = summary["server_clock"]["uncertainty_ms"] or 0.0
    for name, values in true_us.items():
        true, told = Errors.of(values), summary["metrics"][f"reply.{name}"]
        for percentile, true_at_us in (("p50", true.p50), ("p99", true.p99)):
            told_ms, true_ms = told[percentile], units.ms(true_at_us)
            if told_ms is None or true_ms is None:
                continue
            off_ms = told_ms - true_ms
            row = {"name": name, "percentile": percentile, "count": len(values), "told_ms": told_ms, "true_ms": true_ms}
            row |= {"error": round(off_ms / true_ms, 4) if true_ms > 0 else None, "uncertainty_ms": uncertain_ms}
            rows.append(row | {"agrees": abs(off_ms) <= max(CLOSE * true_ms, uncertain_ms + 1)})
    return rows


def _means(totals: Totals, found: dict[str, Histogram]) -> dict[str, float]:
    """Return the mean of every stage in µs; nothing where too few replies could be placed."""
    came, sent = totals.histogram("reply.response"), totals.histogram("reply.delivery")
    response, delivery, before, after = came.mean_us, sent.mean_us, found["before_save"].mean_us, found["after_save"].mean_us
    if response is None or delivery is None or before is None or after is None or found["before_save"].count < ENOUGH * came.count:
        return {}
    return {"lag": max(0.0, response - delivery), "before_save": before, "after_save": after}
