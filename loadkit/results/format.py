"""The shapes and names of a run folder, and the schema version they carry.

run.json          the header, written once before any load
intervals.jsonl   counters, gauges and sums an interval; its line is the interval's commit: written last; a last line says how the run ended
latency.hlog      an HdrHistogram interval log, one tag a metric
events.jsonl      single happenings: lost and slow replies, marks, notes
deliveries.csv    one line an attempted reply (only with --log-deliveries)
stages.csv        one line a reply whose moment of saving is known (likewise)
summary.json      what `loadkit report RUN --json` prints
report.html       the page
"""

from __future__ import annotations

from typing import Any

import msgspec

from loadkit.measure.recorder import ErrorRow

__all__ = [
    "DELIVERIES",
    "EVENTS",
    "HEADER",
    "HLOG",
    "INTERVALS",
    "REPORT",
    "SCHEMA",
    "STAGES",
    "SUMMARY",
    "End",
    "Header",
    "IntervalLine",
    "LatencyLine",
    "WorkerEnd",
]

SCHEMA = 1
HEADER, INTERVALS, HLOG, EVENTS = "run.json", "intervals.jsonl", "latency.hlog", "events.jsonl"
DELIVERIES, STAGES, SUMMARY, REPORT = "deliveries.csv", "stages.csv", "summary.json", "report.html"


class Header(msgspec.Struct, kw_only=True):
    """What a run is, known before its first request. No secrets. Times are ISO 8601 (UTC) and Unix microseconds."""

    schema: int = SCHEMA
    loadkit: str
    run: str
    name: str
    scenario: str
    label: str = ""
    started: str
    started_us: int
    target: dict[str, Any]
    agents: int
    workers: int = 1
    settings: dict[str, Any] = {}
    thresholds: list[str] = []
    limits: dict[str, float] = {}
    environment: dict[str, Any] = {}
    notes: list[str] = []


class WorkerEnd(msgspec.Struct, kw_only=True):
    """What became of a worker: `state` finished, left (by itself, drained), lost or unable (to start), `since` when (ISO 8601).

    `silences` are those after which it came back, each as "from … to …"; `missed` counts the intervals that never came.
    """

    worker: int
    name: str
    state: str = "finished"
    since: str = ""
    reason: str = ""
    silences: list[str] = []
    missed: int = 0


class End(msgspec.Struct, kw_only=True):
    """How a run ended: `ended_by` time, user, signal or crash; `seconds` from start to stop; `faults` void it whatever it measured.

    `at_once`: a second signal killed it, so that nothing was waited for; its parent says this, not the run itself.
    """

    ended_by: str
    seconds: float
    drain_seconds: float = 0.0
    at_once: bool = False
    faults: dict[str, str] = {}
    workers: list[WorkerEnd] = []


class LatencyLine(msgspec.Struct):
    """What the histogram log cannot hold of one metric in one interval."""

    count: int
    sum_us: int
    over: int = 0
    exact: int = 0
    bounded: int = 0
    user_space: int = 0


class IntervalLine(msgspec.Struct, kw_only=True):
    """A line of intervals.jsonl. `start` and `end` are Unix seconds, `hlog` and `events` how many lines of those files belong to it."""

    seq: int = 0
    worker: int = 0
    start: float = 0.0
    end: float = 0.0
    hlog: int = 0
    events: int = 0
    counters: dict[str, int] = {}
    gauges: dict[str, float] = {}
    latencies: dict[str, LatencyLine] = {}
    frames: dict[str, tuple[int, int]] = {}
    errors: list[ErrorRow] = []
    ended: End | None = None
