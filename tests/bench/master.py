"""The share of a core that the master of eight busy workers uses; the workers are `crowd.py`, in one process on the other core."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from loadkit.cli.run import own_port
from tests.bench.plan import pin
from tests.bench.watched import Watched, cpu_s, module, sandbox, wait_for

WORKERS = 8
SCENARIO = Path(__file__).parents[2] / "locustfiles" / "conversations.py"


def measure(seconds: int) -> dict[str, Any]:
    """Return the share over so many seconds, and how many intervals and Locust's reports came a second."""
    with tempfile.TemporaryDirectory() as name, sandbox(Path(name)) as box, own_port() as held:
        folder, port = Path(name), str(held.getsockname()[1])
        bind = ("--master", "--expect-workers", str(WORKERS), "--master-bind-host", "127.0.0.1", "--master-bind-port", port)
        load = ("-u", str(1000 * WORKERS), "-r", str(4000), "-t", f"{seconds + 10}s")
        pin(1)
        crowd = subprocess.Popen([*module("crowd"), port], stdin=subprocess.DEVNULL)
        pin(0)
        watched = Watched(folder / "reports", str(SCENARIO), "--target", str(box.target), *bind, *load)
        try:
            wait_for(lambda: watched.gauge("customers") >= 1000 * WORKERS, "not all workers reported")
            share, intervals = _share(watched, seconds)
            summary = watched.finish().summary
        finally:
            watched.end()
            crowd.terminate()
            crowd.wait()
    lost = [worker for worker in summary["workers"] if worker["state"] != "finished" or worker["missed_intervals"]]
    if lost or len(summary["workers"]) != WORKERS:
        raise SystemExit(f"the master lost workers or intervals: {lost}")
    return {"share": share, "workers": WORKERS, "intervals_per_s": intervals / seconds, "seconds": seconds}


def _share(watched: Watched, seconds: int) -> tuple[float, int]:
    pid, intervals, began, used = watched.master.pid, len(watched.intervals()), time.monotonic(), cpu_s(watched.master.pid)
    time.sleep(seconds)
    share = (cpu_s(pid) - used) / (time.monotonic() - began)
    return share, len(watched.intervals()) - intervals
