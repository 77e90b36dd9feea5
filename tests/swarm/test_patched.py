"""The swarm's unit tests, in the kind of process in which the swarm lives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_swarm_in_a_patched_process() -> None:
    """Everything in `patched/` passes, and something is there."""
    command = [sys.executable, "-m", "pytest", "tests/swarm/patched", "-p", "no:cacheprovider"]
    environment = {**os.environ, "LOADKIT_PATCHED": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > 0
