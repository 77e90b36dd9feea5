"""A run held against the truth of its server: the errors of the stamps, the exactness of the counts, and whether to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadkit.errors import ResultsError
from loadkit.measure.histogram import QUALITIES
from loadkit.measure.metrics import ENDS, MARKS
from loadkit.measure.stamps import Errors, clock_offset_us
from loadkit.results import counts
from loadkit.results.deliveries import Delivery, read_deliveries
from loadkit.results.reader import read
from loadkit.results.stages import against_truth
from loadkit.results.summary import summary_of
from loadkit.results.truth import Told, read_truth

__all__ = ["Bounds", "calibrate"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large the error of exact stamps may be, in µs."""

    p50_us: int = 50
    p99_us: int = 250


def calibrate(path: Path, truth_path: Path, *, bounds: Bounds, last_s: float | None = None) -> dict[str, Any]:
    """Judge a run folder by a truth file and return the judgement as JSON: µs, replies a second, and a reason for every doubt.

    `replies_per_second` is that of the last `last_s` seconds before the stop, by default from the first reply on. Raises ResultsError
    for what is no run, has no deliveries.csv, or shares no reply with the truth.
    """
    run = read(path)
    rows, truth = read_deliveries(run.folder), read_truth(truth_path)
    told = {line.marker: line for line in truth if isinstance(line.marker, str)}
    _share_a_reply(rows, told, truth_path)
    errors = _errors(rows, told)
    offset_us = clock_offset_us(errors["exact"] or [error for each in errors.values() for error in each])
    deadline = run.header.settings.get("deadline")
    deadline_us = round(deadline * 1e6) if isinstance(deadline, int | float) else None
    compared = counts.compare(rows, truth, deadline_us=deadline_us, offset_us=offset_us or 0)
    summary = summary_of(run)
    stages = against_truth(summary, _true_stages(rows, told, offset_us or 0))
    classes = {quality: Errors.of(errors[quality]) for quality in QUALITIES}
    reasons = [
        *({"name": reason["name"], "text": reason["text"]} for reason in summary["validity"]["reasons"]),
        *_doubts_of_stamps(classes, offset_us, bounds),
        *_doubts_of_counts(compared, rows, summary["replies"]),
        *_doubts_of_stages(stages),
    ]
    stop_us = run.header.started_us + round(run.seconds * 1e6)
    since_us = stop_us - round(last_s * 1e6) if last_s else None
    return {
        "run": run.header.name,
        "folder": str(run.folder),
        "trustworthy": not reasons,
        "reasons": reasons,
        "validity": summary["validity"]["state"],
        "replies_per_second": _rate(rows, since_us, stop_us),
        "sockets": int(run.totals.highest.get("cable.open", 0)),
        "replies": summary["replies"],
        "errors": {quality: _public(errors) for quality, errors in classes.items()},
        "bounds": asdict(bounds),
        "stages": stages,
        "clock_offset_us": offset_us,
        "counts": compared.public(),
        "counters": {name: summary["counters"].get(name, 0) for name in ("cable.dropped", "cable.opened")},
    }


def _share_a_reply(rows: Sequence[Delivery], told: dict[str, Told], truth_path: Path) -> None:
    if not rows:
        raise ResultsError("the run's deliveries.csv holds no reply, so there is nothing to compare")
    if not any(row.marker in told for row in rows):
        raise ResultsError(f"the truth file {truth_path} tells of none of this run's {len(rows)} replies")


def _errors(rows: Sequence[Delivery], told: dict[str, Told]) -> dict[str, list[int]]:
    """Return received − written of every reply that has both, by the quality of the receive stamp."""
    errors: dict[str, list[int]] = {quality: [] for quality in QUALITIES}
    for row in rows:
        line = told.get(row.marker)
        written = counts.own_copies(row, line) if line else []
        if written and row.received_us is not None and row.quality in errors:
            errors[row.quality].append(row.received_us - written[0])
    return errors


def _true_stages(rows: Sequence[Delivery], told: dict[str, Told], offset_us: int) -> dict[str, list[int]]:
    """Return how long every reply really took until it was saved and from then on, in µs; nothing where the truth does not tell."""
    true: dict[str, list[int]] = {"before_save": [], "after_save": []}
    for row in rows:
        line = told.get(row.marker)
        if line is not None and line.saved is not None and row.sent_us is not None and row.received_us is not None:
            saved_us = line.saved.unix_us + offset_us
            true["before_save"].append(saved_us - row.sent_us)
            true["after_save"].append(row.received_us - saved_us)
    return true


def _public(errors: Errors) -> dict[str, Any]:
    row = asdict(errors)
    row["p99.9"] = row.pop("p99_9")
    names = ("count", "p50", "p90", "p99", "p99.9", "max", "impossible")
    return {"unit": "us"} | {name: row[name] for name in names}


def _rate(rows: Sequence[Delivery], since_us: int | None, stop_us: int) -> float:
    """Return the replies a second that left from a moment on, by default from the first of them."""
    sent = [row.sent_us for row in rows if row.sent_us is not None and (since_us or 0) <= row.sent_us < stop_us]
    seconds = (stop_us - (since_us or min(sent, default=stop_us))) / 1e6
    return round(len(sent) / seconds, 1) if seconds > 0 else 0.0


def _doubts_of_stamps(classes: dict[str, Errors], offset_us: int | None, bounds: Bounds) -> list[dict[str, str]]:
    exact, doubts = classes["exact"], []
    if offset_us is not None:
        text = f"clock offset: the truth's clock and the run's are {abs(offset_us) / 1000:,.2f} ms apart (or every frame took that long)"
        if offset_us < 0:
            text = f"clock offset: frames were received {-offset_us / 1000:,.2f} ms before they were written, so the clocks differ"
        return [{"name": "clock_offset", "text": text}]
    if impossible := sum(errors.impossible for errors in classes.values()):
        doubts.append({"name": "impossible", "text": f"received before they were written: {impossible} replies; a clock was set"})
    if exact.p50 is None or exact.p99 is None:
        return [*doubts, {"name": "exact", "text": "no reply has an exact receive stamp: that needs Linux and plain TCP"}]
    for name, value, bound in (("p50", exact.p50, bounds.p50_us), ("p99", exact.p99, bounds.p99_us)):
        if abs(value) > bound:
            doubts.append({"name": f"error.{name}", "text": f"the error of exact stamps is {value:,} µs at {name}, above {bound:,} µs"})
    return doubts


def _doubts_of_stages(stages: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "name": f"stages.{row['name']}",
            "text": f"{row['name']} was told as {row['told_ms']:,.1f} ms at {row['percentile']} and took {row['true_ms']:,.1f} ms: more "
            "than the uncertainty that was told with it",
        }
        for row in stages
        if not row["agrees"]
    ]


def _doubts_of_counts(compared: counts.Counts, rows: Sequence[Delivery], replies: dict[str, int]) -> list[dict[str, str]]:
    doubts = []
    for kind, n in compared.wrong.items():
        if n:
            doubts.append({"name": f"counts.{kind}", "text": f"{n} {'reply' if n == 1 else 'replies'} {counts.WRONGS[kind]}"})
    logged = {"attempted": len(rows)}
    logged |= {end: sum(row.end == end for row in rows) for end in ENDS}
    logged |= {mark: sum(mark in row.marks for row in rows) for mark in MARKS}
    apart = [f"{name} {replies[name]} and {n}" for name, n in logged.items() if replies[name] != n]
    if apart:
        doubts.append({"name": "counts.summary", "text": f"summary and deliveries.csv differ: {', '.join(apart)}"})
    return doubts
