"""`python -m tests.bench [--quick] [--json FILE]`: measures, prints one table, keeps it as JSON. Figures are told, never asserted."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import stamps
from tests.bench.feeder import feed
from tests.bench.plan import WARM_ROUNDS, Plan, pin, raise_limits

READER = Path(__file__).with_name("reader.c")


def receive(plan: Plan) -> dict[str, Any]:
    """Measure the readers one after another, each in a process of its own."""
    sizes = [str(plan.sockets), str(plan.rounds)]
    with tempfile.TemporaryDirectory() as folder:
        reader = f"{folder}/reader"
        subprocess.run(["cc", "-O2", "-o", reader, str(READER)], check=True)
        # The last core is ours, the feeder's; the C reader is given the first.
        c = feed(plan, lambda port: ["taskset", "-c", "0", reader, str(port), *sizes, str(WARM_ROUNDS)], handshake=False)
    results = {"c": c}
    for name, (module, *more) in {"locust": ["read_locust"], "cable": ["read_loadkit", "cable"], "loadkit": ["read_loadkit"]}.items():
        command = [sys.executable, "-m", f"tests.bench.{module}"]
        results[name] = feed(plan, lambda port, command=command, more=more: [*command, str(port), *sizes, *more], handshake=True)
    for name, result in results.items():
        if result["hits"] != plan.sockets * plan.rounds:
            raise SystemExit(f"the {name} reader took {result['hits']} of {plan.sockets * plan.rounds} events")
    return results


def table(plan: Plan, results: dict[str, Any], stamped: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows: what, how much, what is wanted."""
    c, locust, cable, ours = (results[name]["cpu_us"] for name in ("c", "locust", "cable", "loadkit"))
    return [
        (f"receive, {plan.sockets} sockets, {plan.measured} events", "CPU µs/event", "wanted"),
        ("  C: epoll, recvmsg, memmem", f"{c:.2f}", ""),
        ("  Locust script: recv, json.loads, fire", f"{locust:.2f}", ""),
        ("  loadkit: found on a cable, no further", f"{cable:.2f}", ""),
        ("  loadkit: cable to ledger and histograms", f"{ours:.2f}", ""),
        ("  loadkit / C", f"{ours / c:.2f}", "<= 3"),
        ("  Locust script / loadkit", f"{locust / ours:.2f}", ">= 15"),
        ("  besides: expecting a reply and its answer", f"{results['loadkit']['attempt_us']:.2f}", ""),
        ("  besides: handing a row to Locust's tables", f"{results['loadkit']['locust_table_us']:.2f}", ""),
        ("memory, KiB RSS a held cable", f"{results['loadkit']['rss_kib']:.2f}", ""),
        (f"stamps, {stamped['compared']} compared, {stamped['replies_per_s']:.0f} replies/s", "", ""),
        ("  written -> received, p50 µs", f"{stamped['error_p50_us']}", ""),
        ("  written -> received, p99 µs", f"{stamped['error_p99_us']}", ""),
        ("  exact, share of the received", f"{stamped['exact_share']:.4f}", ""),
    ]


def main() -> None:
    """Run the whole bench."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure loadkit's receive path on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer events and a shorter run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here")
    args = parser.parse_args()
    pin(1)
    raise_limits()
    plan = Plan(2000, 6 if args.quick else 22)
    results = receive(plan)
    stamped = stamps.measure(5 if args.quick else 15)
    for what, figure, wanted in table(plan, results, stamped):
        print(f"{what:<46}{figure:>14}  {wanted}".rstrip())
    if args.json:
        kept = {"sockets": plan.sockets, "events": plan.measured, "receive": results, "stamps": stamped}
        args.json.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
