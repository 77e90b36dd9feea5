"""How many customers of the shipped scenario a worker carries: what it uses of its core, and how late its loop is, at some sizes.

Every agent's cable is sent every message of the inbox, so agents cost as much as customers do: the sizes are measured once with as many
agents as people are who think for seconds, and once with few.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from tests.bench.master import SCENARIO
from tests.bench.watched import Watched, cpu_s, sandbox, wait_for

BRISK = Path(__file__).with_name("brisk.py")
CUSTOMERS_AN_AGENT, FEW = 6, 20
"""An agent who thinks some three seconds keeps up with six customers, one who thinks a tenth of a second with a hundred and more."""

MOST_CPU, MOST_LAG_MS = 0.7, 50.0
RATE = 200
"""Customers who come a second."""

Size = tuple[Path, int, int]


def sizes(*, thinking: Iterable[int], brisk: Iterable[int]) -> list[Size]:
    """Return sizes, a scenario with customers and agents each, for numbers of customers."""
    return [(SCENARIO, n, n // CUSTOMERS_AN_AGENT) for n in thinking] + [(BRISK, n, max(FEW, n // 100)) for n in brisk]


def measure(wanted: list[Size], seconds: int) -> list[dict[str, Any]]:
    """Return of each size what the generator and the sandbox used over so many seconds with all customers there, and the lag then."""
    with tempfile.TemporaryDirectory() as name:
        return [
            _run(Path(name) / f"{scenario.stem}{customers}", scenario, customers, agents, seconds) for scenario, customers, agents in wanted
        ]


def _run(folder: Path, scenario: Path, customers: int, agents: int, seconds: int) -> dict[str, Any]:
    """Let the customers come to a sandbox of their own, and watch."""
    folder.mkdir()
    load = ("-u", str(customers), "-r", str(RATE), "-t", "5m", "--agents", str(agents))  # ended when it was measured
    with sandbox(folder) as box:
        watched = Watched(folder / "reports", str(scenario), "--target", str(box.target), *load)
        try:
            within = customers / RATE + 40
            wait_for(lambda: watched.gauge("cable.open") >= customers, f"{customers} customers did not come", within=within)
            pids, began = (watched.master.pid, box.process.pid), time.time()
            used = [cpu_s(pid) for pid in pids]
            time.sleep(seconds)
            ended, used = time.time(), [cpu_s(pid) - was for pid, was in zip(pids, used, strict=True)]
            rss_mib = psutil.Process(pids[0]).memory_info().rss / 2**20
        finally:
            watched.end()
    lines = [line for line in watched.intervals() if began <= line["start"] and line["end"] <= ended]
    lag, response = (watched.latencies(name, began, ended) for name in ("generator.lag", "reply.response"))
    return {
        "scenario": scenario.stem,
        "customers": customers,
        "agents": agents,
        "cpu": used[0] / (ended - began),
        "server_cpu": used[1] / (ended - began),
        "replies_per_s": response.count / max(1.0, sum(line["end"] - line["start"] for line in lines)),
        "lag_p99_ms": (lag.percentile(99) or 0) / 1e3,
        "response_p99_ms": (response.percentile(99) or 0) / 1e3,
        "rss_mib": rss_mib,
    }


def carried(results: list[dict[str, Any]]) -> dict[str, int]:
    """Return by scenario the largest number of customers whose generator kept to both limits, 0 where none did."""
    most = {result["scenario"]: 0 for result in results}
    for result in results:
        if result["lag_p99_ms"] < MOST_LAG_MS and result["cpu"] < MOST_CPU:
            most[result["scenario"]] = max(most[result["scenario"]], result["customers"])
    return most
