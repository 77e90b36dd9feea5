"""How far a run's receive stamps are from when the sandbox says that it wrote the frames."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.bench.plan import pin
from tests.system.driver import SandboxProcess, finish, start

STEADY = Path(__file__).with_name("steady.py")


def measure(seconds: int) -> dict[str, Any]:
    """Run for some seconds; return the errors' percentiles in µs and the shares, of the replies that were received."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pin(1)
        box = SandboxProcess(folder, "--service", "none")
        try:
            pin(0)
            arguments = ("--target", str(box.target), "-u", "40", "-r", "40", "-t", f"{seconds}s", "--agents", "4", "--log-deliveries")
            done = finish(folder / "reports", start(folder / "reports", str(STEADY), *arguments, "--quiet"))
        finally:
            pin(1)
            box.stop()
        truth, rows = box.truth(), [row for row in done.deliveries.values() if row["received"]]
    errors = []
    for row in rows:
        written = [copy["unix_us"] for copy in truth[row["marker"]]["written"] if copy["to"] == row["subscription"]]
        if row["quality"] == "exact" and len(written) == 1:
            errors.append(int(row["received"]) - written[0])
    errors.sort()
    return {
        "replies_per_s": len(rows) / seconds,
        "exact_share": sum(row["quality"] == "exact" for row in rows) / len(rows),
        "compared": len(errors),
        "error_p50_us": errors[len(errors) // 2],
        "error_p99_us": errors[len(errors) * 99 // 100],
    }
