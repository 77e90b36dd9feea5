"""The summary of a run: the contract's JSON, made from totals alike while a run ends and from its folder afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadkit import units
from loadkit.measure import threshold, validity, verdict
from loadkit.measure.histogram import Histogram
from loadkit.measure.metrics import COUNTERS, ENDS, LATENCIES, MARKS
from loadkit.measure.recorder import Totals
from loadkit.measure.workers import WorkerTotals
from loadkit.results import stages
from loadkit.results.format import End, Header
from loadkit.results.reader import Run

__all__ = ["PERCENTILES", "summarize", "summary_of"]

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}


def summary_of(run: Run, *, thresholds: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the summary of a folder that was read; `thresholds` replace the run's own."""
    return summarize(run.header, run.totals, run.end, thresholds=thresholds)


def summarize(header: Header, totals: Totals, end: End | None, *, thresholds: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the summary; `end` None means that the process died. Keys and units are a contract."""
    lines = threshold.parse_all(header.thresholds if thresholds is None else thresholds)
    judged = [line.judge(totals) for line in lines]
    faults = dict(end.faults) if end else {"crash": "the run's process died: what follows ends with its last written interval"}
    limits = validity.LIMITS | header.limits
    believed = validity.examine(totals, limits=limits, faults=faults, workers=_doubtful_workers(totals, end))
    ended_by = end.ended_by if end else "crash"
    spoken = verdict.pronounce(totals, believed, judged, ended_by=ended_by, at_once=end is not None and end.at_once)
    return {
        "schema": header.schema,
        "run": _run(header, totals, end),
        "verdict": spoken.word,
        "exit_code": spoken.exit_code,
        "validity": {
            "state": believed.state,
            "reasons": [{"name": r.name, "value": r.value, "limit": r.limit, "text": r.text} for r in believed.reasons],
        },
        "replies": {name: totals.reply(name) for name in ("attempted", "refused", "accepted", *ENDS[1:], *MARKS)},
        "copies": _copies(totals),
        "metrics": {name: _metric(totals.histogram(name)) for name in _latency_names(totals)},
        "counters": {name: totals.counters.get(name, 0) for name in _counter_names(totals)},
        "gauges": {name: {"last": totals.gauges[name], "max": totals.highest[name]} for name in sorted(totals.gauges)},
        "frames": {name: {"count": n, "bytes": size} for name, (n, size) in sorted(totals.frames.items())},
        "thresholds": [{"text": j.text, "passed": j.passed, "value": j.value, "unit": j.unit} for j in judged],
        "errors": [
            {
                "kind": row.kind,
                "where": row.where,
                "count": row.count,
                "first": units.iso(row.first_us),
                "last": units.iso(row.last_us),
                "example": row.example,
            }
            for row in sorted(totals.errors.values(), key=lambda row: -row.count)
        ],
        "stages": stages.stages(totals),
        "server_clock": stages.server_clock(totals),
        "workers": _workers(totals, end),
    }


def _run(header: Header, totals: Totals, end: End | None) -> dict[str, Any]:
    last = max(header.started_us, totals.end_us or 0)
    return {
        "name": header.name,
        "scenario": header.scenario,
        "label": header.label,
        "started": header.started,
        "seconds": round(end.seconds if end else (last - header.started_us) / 1e6, 3),
        "drain_seconds": round(end.drain_seconds, 3) if end else 0.0,
        "ended_by": end.ended_by if end else "crash",
        "customers": int(totals.highest.get("customers", 0)),
        "agents": header.agents,
        "workers": header.workers,
        "target": header.target.get("host", ""),
    }


def _doubtful_workers(totals: Totals, end: End | None) -> list[tuple[str, str]]:
    """Return a name and a sentence for every worker that was lost, was silent for a while, or whose intervals did not all come."""
    doubts = []
    for worker in end.workers if end else []:
        name, mine = f"worker {worker.worker} ({worker.name})", totals.workers.get(worker.worker)
        if worker.state == "lost":
            flight = f"replies in flight there, now undetermined: {mine.open}" if mine else "it had reported nothing"
            after = "what it did after its last report is counted nowhere"
            doubts.append(("workers.lost", f"{name} was lost at {worker.since}: {worker.reason}; {flight}; {after}"))
        if worker.state == "unable":
            doubts.append(("workers.unable", f"{name} {worker.reason}"))
        doubts += [("workers.silent", f"{name} was silent {silence} and came back") for silence in worker.silences]
        if worker.missed:
            doubts.append(("workers.missed", f"{worker.missed} intervals of {name} never came: what they counted is missing here"))
    return doubts


def _workers(totals: Totals, end: End | None) -> list[dict[str, Any]]:
    """Return a row a worker, by rank."""
    ends = {worker.worker: worker for worker in end.workers} if end else {}
    untold = "lost" if end is None else "killed" if end.at_once else "finished"
    rows = []
    for rank in sorted(totals.workers.keys() | ends.keys()):
        mine, ended = totals.workers.get(rank, WorkerTotals()), ends.get(rank)
        rows.append(
            {
                "worker": rank,
                "name": ended.name if ended else "",
                "state": ended.state if ended else untold,
                "since": ended.since if ended else "",
                "reason": ended.reason if ended else "",
                "silences": ended.silences if ended else [],
                "intervals": mine.intervals,
                "missed_intervals": ended.missed if ended else 0,
                "replies": mine.attempted,
                "undetermined": mine.undetermined + mine.open,
                "lag_p99_ms": units.ms(mine.lag.percentile(99)),
                "lag_max_ms": units.ms(mine.lag.max_us),
                "cpu_max": mine.highest.get("generator.cpu"),
                "open_files_max": mine.highest.get("generator.open_files"),
                "cable_open_max": mine.highest.get("cable.open"),
                "customers_max": mine.highest.get("customers"),
            }
        )
    return rows


def _copies(totals: Totals) -> dict[str, int]:
    owed, seen = (totals.counters.get(f"copies.{name}", 0) for name in ("owed", "seen"))
    return {"owed": owed, "seen": seen, "missing": totals.copies_missing}


def _latency_names(totals: Totals) -> list[str]:
    return [metric.name for metric in LATENCIES] + sorted(name for name in totals.histograms if name.startswith("http."))


def _counter_names(totals: Totals) -> list[str]:
    """Return the declared counters but those told under `replies` and `copies`, and the families' as far as there is anything to tell."""
    elsewhere = {f"reply.{name}" for name in ("attempted", "accepted", *ENDS, *MARKS)} | {"copies.owed", "copies.seen", "copies.missing"}
    ours = [metric.name for metric in COUNTERS if metric.name not in elsewhere]
    routes = {f"{name}.failed" for name in totals.histograms if name.startswith("http.")}
    return ours + sorted(routes | {name for name in totals.counters if name.startswith(("http.", "reply.refused.", "schedule.dropped."))})


def _metric(histogram: Histogram) -> dict[str, Any]:
    row: dict[str, Any] = {"unit": "ms", "count": histogram.count, "mean": units.ms(histogram.mean_us)}
    row |= dict(zip(PERCENTILES, map(units.ms, histogram.percentiles(PERCENTILES.values())), strict=True))
    row |= {"max": units.ms(histogram.max_us), "over": histogram.over}
    row |= {"exact": histogram.exact, "bounded": histogram.bounded, "user_space": histogram.user_space}
    return row
