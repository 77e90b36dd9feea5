"""What a delivered event costs in CPU time where two workers generate the load, where one does, and where there is a single process.

All carry the same load, at a fixed rate, one after another and again, so that whatever else a machine does hits all alike.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.watched import Watched, cpu_s, sandbox, wait_for

STEADY = Path(__file__).with_name("steady.py")
CUSTOMERS = 120
"""Customers of `steady.py`, who ask every 0.4 s: 300 replies a second."""

WAYS = {"single": 0, "1 worker": 1, "2 workers": 2}
EVENT = "message.created"


def measure(seconds: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return of each way the µs of CPU a delivered event, in the cheapest of its repeats, and events a second then."""
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name)) as box:
        for repeat in range(repeats):
            for way, workers in WAYS.items():
                result = _run(Path(name) / f"{way}{repeat}", box.target, workers, seconds)
                if way not in results or result["cpu_us"] < results[way]["cpu_us"]:
                    results[way] = result
    return results


def _run(results: Path, target: Path, workers: int, seconds: int) -> dict[str, float]:
    """Generate the load, and take the CPU of what generates it between two moments when all customers are there."""
    processes = ("--processes", str(workers)) if workers else ()
    load = ("-u", str(CUSTOMERS), "-r", str(CUSTOMERS), "-t", f"{seconds + 12}s", "--agents", "4")
    watched = Watched(results, str(STEADY), "--target", str(target), *load, *processes)
    try:
        pids = watched.workers(workers)
        wait_for(lambda: watched.gauge("cable.open") >= CUSTOMERS, "not all customers came")
        began, used = time.time(), sum(map(cpu_s, pids))
        time.sleep(seconds)
        ended, used = time.time(), sum(map(cpu_s, pids)) - used
        done = watched.finish()
    finally:
        watched.end()
    replies = done.summary["replies"]
    if replies["on_time"] < 0.99 * replies["attempted"]:
        raise SystemExit(f"replies were not on time: {replies}")
    rate = _events_per_s(watched.intervals(), began, ended)
    return {"cpu_us": used / (ended - began) / rate * 1e6, "events_per_s": rate, "cpu_share": used / (ended - began)}


def _events_per_s(intervals: list[dict[str, Any]], began: float, ended: float) -> float:
    """Return how many events customers and agents were delivered a second, all workers together, by the intervals within two moments."""
    rate = 0.0
    for worker in {line["worker"] for line in intervals} - {-1}:
        mine = [line for line in intervals if line["worker"] == worker and began <= line["start"] and line["end"] <= ended]
        rate += sum(line["frames"].get(EVENT, (0, 0))[0] for line in mine) / sum(line["end"] - line["start"] for line in mine)
    return rate
