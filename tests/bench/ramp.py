"""How long the hub of a generator stands still while customers come at 200 a second: Locust starts a second's users all at once."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.master import SCENARIO
from tests.bench.watched import Watched, sandbox, wait_for

CUSTOMERS, RATE = 1000, 200
SAMPLE_S = 0.05
WAYS: dict[str, tuple[int, tuple[str, ...]]] = {
    "one process, -u -r": (0, ("-u", str(CUSTOMERS), "-r", str(RATE), "-t", "12s")),
    "one process, --stages": (0, ("--stages", f"{CUSTOMERS // RATE}s:{CUSTOMERS},7s:{CUSTOMERS}")),
    "2 workers, --stages": (2, ("--stages", f"{CUSTOMERS // RATE}s:{CUSTOMERS},7s:{CUSTOMERS}")),
}


def measure() -> dict[str, dict[str, Any]]:
    """Return for each way of ramping the lag's maximum and p99 in ms, of the worst worker, and when all customers were there."""
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name)) as box:
        return {way: _ramp(Path(name) / str(n), box.target, *WAYS[way]) for n, way in enumerate(WAYS)}


def _ramp(results: Path, target: Path, workers: int, load: tuple[str, ...]) -> dict[str, Any]:
    processes = ("--processes", str(workers)) if workers else ()
    began = time.monotonic()
    watched = Watched(results, str(SCENARIO), "--target", str(target), "--agents", "20", *load, *processes)
    try:
        pids = watched.workers(workers)
        wait_for(lambda: watched.gauge("customers") > 0, "no customer came")
        others_ms = max(_waited_ms(pids) for _ in range(round((CUSTOMERS / RATE + 1) / SAMPLE_S)))
        done = watched.finish()
    finally:
        watched.end()
    rows, metrics = done.summary["workers"], done.summary["metrics"]
    if sum(row["customers_max"] for row in rows) != CUSTOMERS:
        raise SystemExit(f"not all customers came: {rows}")
    return {
        "lag_max_ms": max(row["lag_max_ms"] for row in rows),
        "lag_p99_ms": max(row["lag_p99_ms"] for row in rows),
        "waited_for_core_max_ms": others_ms,
        "open_p99_ms": metrics["http.conversation.create"]["p99"],
        "seconds": time.monotonic() - began,
    }


def _waited_ms(pids: list[int]) -> float:
    """Return how long, in the next moment, a process that could run did not get its core: what is not its own fault."""
    before = [_queued_ms(pid) for pid in pids]
    time.sleep(SAMPLE_S)
    return max(_queued_ms(pid) - was for pid, was in zip(pids, before, strict=True))


def _queued_ms(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e6
