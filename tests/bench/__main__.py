"""`python -m tests.bench [--quick] [--json FILE]`: measures, prints one table, keeps it as JSON. Figures are told, never asserted."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import memory, stamps, swarm
from tests.bench.feeder import feed
from tests.bench.plan import WARM_ROUNDS, Plan, pin, raise_limits

READER = Path(__file__).with_name("reader.c")


LIVE_RATE = 40_000
"""Frames a second that a Python feeder keeps up, and that leave each reader but the script some idle time."""


REPEATS = 3


def receive(plan: Plan) -> dict[str, Any]:
    """Measure the readers one after another, each in a process of its own; of each the cheapest of some repeats counts.

    Whatever else a machine does can only add to a CPU time. `live` readers are sent to while they read.
    """
    sizes = [str(plan.sockets), str(plan.rounds)]
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as folder:
        reader = f"{folder}/reader"
        subprocess.run(["cc", "-O2", "-o", reader, str(READER)], check=True)
        # The last core is ours, the feeder's; the C reader is given the first, the others take it themselves.
        readers: dict[str, tuple[list[str], list[str], int]] = {
            "c": (["taskset", "-c", "0", reader], [str(WARM_ROUNDS)], 0),
            "c live": (["taskset", "-c", "0", reader], [str(WARM_ROUNDS)], LIVE_RATE),
            "locust": ([*python, "tests.bench.read_locust"], [], 0),
            "cable": ([*python, "tests.bench.read_loadkit"], ["cable"], 0),
            "loadkit": ([*python, "tests.bench.read_loadkit"], [], 0),
            "loadkit live": ([*python, "tests.bench.read_loadkit"], [], LIVE_RATE),
        }
        results: dict[str, Any] = {}
        for name in [name for _ in range(REPEATS) for name in readers]:
            head, tail, rate = readers[name]

            def command(port: int, head: list[str] = head, tail: list[str] = tail) -> list[str]:
                return [*head, str(port), *sizes, *tail]

            result = feed(plan, command, handshake=head[0] == sys.executable, rate=rate)
            if result["hits"] != plan.sockets * plan.rounds:
                raise SystemExit(f"the {name} reader took {result['hits']} of {plan.sockets * plan.rounds} events")
            if name not in results or result["cpu_us"] < results[name]["cpu_us"]:
                results[name] = result
    return results


def table(plan: Plan, results: dict[str, Any], customer_kib: float, stamped: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows: what, how much, what is wanted."""
    c, c_live, locust, cable, ours, live = (
        results[name]["cpu_us"] for name in ("c", "c live", "locust", "cable", "loadkit", "loadkit live")
    )
    return [
        (f"receive, {plan.sockets} sockets, {plan.measured} events", "CPU µs/event", "wanted"),
        ("  C: epoll, recvmsg, memmem, histogram", f"{c:.2f}", ""),
        ("  Locust script: recv, json.loads, fire", f"{locust:.2f}", ""),
        ("  loadkit: found on a cable, no further", f"{cable:.2f}", ""),
        ("  loadkit: all, to histograms and Locust's tables", f"{ours:.2f}", ""),
        ("    of it buckets and tables, once a second", f"{results['loadkit']['hand_over_us']:.2f}", ""),
        ("  loadkit / C", f"{ours / c:.2f}", "<= 3"),
        ("  Locust script / loadkit", f"{locust / ours:.2f}", ">= 15"),
        ("  besides: expecting a reply and its answer", f"{results['loadkit']['attempt_us']:.2f}", ""),
        (f"the same, sent at {LIVE_RATE} a second meanwhile", "", ""),
        ("  C", f"{c_live:.2f}", ""),
        ("  loadkit", f"{live:.2f}", ""),
        ("  loadkit / C", f"{live / c_live:.2f}", "<= 3"),
        ("memory, KiB RSS a held cable", f"{results['loadkit']['rss_kib']:.2f}", "<= 3"),
        ("memory, KiB RSS a whole live customer", f"{customer_kib:.1f}", "<= 60"),
        (f"stamps, {stamped['compared']} compared, {stamped['replies_per_s']:.0f} replies/s", "", ""),
        ("  written -> received, p50 µs", f"{stamped['error_p50_us']}", ""),
        ("  written -> received, p99 µs", f"{stamped['error_p99_us']}", ""),
        ("  exact, share of the received", f"{stamped['exact_share']:.4f}", ""),
    ]


def main() -> None:
    """Run the whole bench."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure loadkit on this machine, parts and whole.")
    parser.add_argument("--quick", action="store_true", help="fewer events and a shorter run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here")
    args = parser.parse_args()
    pin(1)
    raise_limits()
    plan = Plan(2000, 6 if args.quick else 22)
    results = receive(plan)
    customer_kib = memory.measure()
    stamped = stamps.measure(5 if args.quick else 15)
    runs = swarm.measure(quick=args.quick)
    for what, figure, wanted in table(plan, results, customer_kib, stamped) + swarm.rows(runs):
        print(f"{what:<50}{figure:>14}  {wanted}".rstrip())
    if args.json:
        kept = {"sockets": plan.sockets, "events": plan.measured, "receive": results, "customer_kib": customer_kib, "stamps": stamped}
        kept["runs"] = runs
        args.json.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
