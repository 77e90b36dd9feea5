"""What a whole live customer costs in memory: Locust's user, HTTP keep-alive connection, cable, conversation, and replies that flow."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.bench.plan import pin
from tests.system.driver import SandboxProcess, finish, start

RESIDENTS = Path(__file__).with_name("residents.py")
FEW, MANY = 200, 1200
NOTED = "memory.json"
"""A file beside the run folders: KiB at either level."""


def measure() -> float:
    """Return by how many KiB of resident memory a run grows with each customer between the two levels."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pin(1)
        box = SandboxProcess(folder, "--service", "none")
        try:
            pin(0)
            arguments = ("--target", str(box.target), "-u", str(FEW), "-r", "100", "-t", "3m", "--agents", "10", "--quiet")
            done = finish(folder / "reports", start(folder / "reports", str(RESIDENTS), *arguments), within=240)
        finally:
            pin(1)
            box.stop()
        noted = folder / NOTED
        if not noted.exists():
            raise SystemExit(f"the customers did not all come and get replies: {done.err[-500:]}")
        few_kib, many_kib = json.loads(noted.read_text())
    return float(many_kib - few_kib) / (MANY - FEW)
