"""Where the replies' time went, stage by stage: one bar, one table, one sentence on how far to believe what is inferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadkit import units
from loadkit.report import sentences
from loadkit.report.drawing import COLOURS, ms_text
from loadkit.report.tables import Table

__all__ = ["STAGE_METRICS", "Part", "parts", "slowest_stage", "table", "text", "trust"]

_NAMES = {
    "lag": ("waited to be sent", "due → sent"),
    "before_save": ("until it was saved", "sent → saved: the web server's queue, its threads and the database"),
    "after_save": ("from then on", "saved → received: the job queue, Redis, the cable's workers, the network"),
}
_BESIDE = {
    "reply.post": "sent → answered",
    "reply.agent_copy": "sent → on an agent's screen: the same way, but the customer's frame is the last one published",
    "cable.presence_echo": "update_presence → its echo: the cable's own way, with no job queue in it",
}
STAGE_METRICS = ("reply.before_save", "reply.after_save", "reply.agent_copy", "cable.presence_echo", "clock.uncertainty")
"""Metrics that are told here, so that no other table need tell them."""

MUCH = 0.25
"""Beyond this share of the shorter stage's median an uncertainty is worth a warning."""

_PERCENTILES = ("p50", "p95", "p99", "max")


@dataclass(frozen=True, slots=True)
class Part:
    """A stage of the mean response: `name` and `text` (its mean, with what is uncertain) for a reader, `share` of the whole."""

    name: str
    share: float
    text: str
    colour: str


def parts(summary: dict[str, Any]) -> list[Part]:
    """Return the stages in their order, their shares adding up to one; empty where they cannot be told."""
    rows = [row for row in summary["stages"] if row["share"] is not None]
    return [Part(_NAMES[row["name"]][0], row["share"], _mean_text(row), COLOURS[row["name"]]) for row in rows]


def _mean_text(row: dict[str, Any]) -> str:
    """Return a stage's mean; where that is less than what is uncertain, only what it is less than."""
    mean_ms, uncertain_ms = row["mean_ms"], row["uncertainty_ms"]
    if uncertain_ms is None:
        return ms_text(mean_ms)
    if mean_ms < uncertain_ms:
        return f"< {ms_text(mean_ms + uncertain_ms)}"
    return f"{ms_text(mean_ms)} ± {ms_text(uncertain_ms)}"


def text(summary: dict[str, Any]) -> str:
    """Return the stages in one line; empty where they cannot be told."""
    told = [f"{part.text} {part.name}" for part in parts(summary)]
    return f"a reply on average: {' + '.join(told)}" if told else ""


def slowest_stage(summary: dict[str, Any]) -> tuple[str, float] | None:
    """Return the name and the share of the stage in which most time went, if it is more than the inference may be off; else None."""
    found = [row for row in summary["stages"] if row["share"] is not None]
    most = max(found, key=lambda row: row["share"], default=None)
    if most is None or most["mean_ms"] < 2 * (most["uncertainty_ms"] or 0.0):
        return None
    return most["name"], most["share"]


def table(summary: dict[str, Any]) -> Table:
    """Return a row a stage, and what is observed beside them to check them by."""
    rows = []
    for row in summary["stages"]:
        name, way = _NAMES[row["name"]]
        basis = row["basis"] if row["uncertainty_ms"] is None else f"inferred, ± {ms_text(row['uncertainty_ms'])}"
        rows.append((name, way, basis, *_numbers(summary, row["metric"])))
    for metric, way in _BESIDE.items():
        if summary["metrics"][metric]["count"]:
            rows.append((metric, way, "observed", *_numbers(summary, metric)))
    return Table(("stage", "from → to", "how it is known", "count", *_PERCENTILES), "lll" + "r" * 5, rows)


def _numbers(summary: dict[str, Any], name: str) -> tuple[str, ...]:
    metric = summary["metrics"][name]
    return units.count_text(metric["count"]), *(ms_text(metric[column]) for column in _PERCENTILES)


def trust(summary: dict[str, Any]) -> str:
    """Return how far the inferred moments can be believed, in whole sentences; empty where no reply came."""
    clock, delivery = summary["server_clock"], summary["metrics"]["reply.delivery"]
    if not delivery["count"]:
        return ""
    odd = clock["contradicted"]
    untold = delivery["count"] - clock["replies"] - odd
    died = any(worker["state"] in ("lost", "killed") for worker in summary["workers"])
    why = "the process that saw them died before it had reckoned them." if died else "their frames do not tell when they were saved."
    left_out = [
        _left_out(odd, "their moments of saving contradict those of others: the server has more than one clock, or it was set."),
        _left_out(untold, why),
    ]
    inferred = []
    if clock["replies"]:
        smallest_ms = min(row["p50_ms"] for row in summary["stages"] if row["basis"] == "inferred")
        inferred.append(_inferred(clock, smallest_ms))
    return " ".join(filter(None, inferred + left_out))


def _left_out(n: int, why: str) -> str:
    return f"The stages of {sentences.many(n, 'reply', 'replies')} cannot be told: {why}" if n > 0 else ""


def _inferred(clock: dict[str, Any], smallest_ms: float) -> str:
    told = (
        "The moment of saving is the server's own, from the updated_at of each frame. Its clock was set against the generator's by the "
        f"messages themselves, each saved between being sent and being answered{_offset_text(clock['offset_ms'])} That leaves the moment "
        f"of saving uncertain by {ms_text(clock['uncertainty_ms'])} (median; {ms_text(clock['uncertainty_max_ms'])} at most)."
    )
    if clock["uncertainty_ms"] > MUCH * smallest_ms:
        told += " That is much of the shorter of the two stages: believe only what is far longer."
    return told


def _offset_text(offset_ms: float | None) -> str:
    if offset_ms is None:
        return ", by each worker for itself."
    if not offset_ms:
        return ": they allow that the two are in step, which is assumed."
    return f": it is {ms_text(abs(offset_ms))} {'ahead' if offset_ms > 0 else 'behind'}."
