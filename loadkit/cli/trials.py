"""The runs of `loadkit calibrate`: each with a sandbox of its own, both in processes of their own, and nothing left running behind."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from loadkit import lifeline
from loadkit.cli import sandbox
from loadkit.errors import LoadkitError

__all__ = ["TRUTH", "Trial", "TrialFailed", "conduct"]

TRUTH = "truth.jsonl"
CONNECTED_PER_SECOND = 150
AGENTS, AGENT_CONNECTIONS = 2, 24
DISCONNECTS = 20
LONGEST_SWAP_S = 8.0
LOAD_STARTS_WITHIN_S = 120


class TrialFailed(LoadkitError):
    """A run that left no folder."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """A load: replies a second asked for, over so many customers' sockets, for so many seconds once all are connected."""

    rate: float
    sockets: int
    seconds: int
    seed: int
    faulty: bool = False

    @property
    def every_s(self) -> float:
        """Seconds from one question of a customer to the next."""
        return self.sockets / self.rate

    @property
    def ramp_s(self) -> int:
        """Seconds in which the customers come and nobody asks."""
        return 2 + math.ceil(self.sockets / CONNECTED_PER_SECOND)

    @property
    def swap_s(self) -> float:
        """How long the sandbox holds a reply for the next one of its conversation to overtake it."""
        return min(LONGEST_SWAP_S, max(1.0, 2 * self.every_s))

    def faults(self) -> list[str]:
        """Return the faults: exactly one in a hundred dropped, doubled and swapped of the first replies, and sockets cut."""
        if not self.faulty:
            return []
        window = max(10, int(0.8 * self.rate * self.seconds))
        share, cuts = max(1, window // 100), min(DISCONNECTS, max(1, window // 10))
        texts = {"drop": f"{share}", "duplicate": f"{share}", "swap": f"{share}", "disconnect": f"{cuts}"}
        return [f"{name}={n}of{window}" + (f":{self.swap_s:.3f}s" if name == "swap" else "") for name, n in texts.items()]

    def sandbox_options(self) -> list[str]:
        """Return what `loadkit sandbox` is asked for: it takes no time of its own."""
        return ["--service", "none", "--agents", str(AGENTS), "--seed", str(self.seed), *(f"--fault={fault}" for fault in self.faults())]

    def run_options(self) -> list[str]:
        """Return what `loadkit run` is asked for, but target and results."""
        return [
            "steady", "--every", f"{self.every_s:.6f}", "-u", f"{self.sockets}", "-r", f"{CONNECTED_PER_SECOND}",
            "-t", f"{self.ramp_s + self.seconds}s", "--agents", f"{AGENTS}", "--agent-connections", f"{AGENT_CONNECTIONS}",
            "--lost-after", f"{self.swap_s + 4:.3f}s", "--seed", f"{self.seed}", "--log-deliveries", "--quiet",
            "--label", f"calibrate-{self.rate:g}" + ("-faults" if self.faulty else ""),
        ]  # fmt: skip


def conduct(trial: Trial, results: Path) -> Path:
    """Run a trial and return its run folder, the truth beside the run's own files. Raises TrialFailed with a sentence."""
    with tempfile.TemporaryDirectory(prefix="loadkit-calibrate-") as name:
        target, truth = Path(name) / "target.toml", Path(name) / TRUTH
        with sandbox.held(*trial.sandbox_options(), "--write-target", str(target), "--truth", str(truth)):
            folder = _run(trial, target, results)
        shutil.copyfile(truth, folder / TRUTH)  # the sandbox has ended: nothing more is written to it
        return folder


def _run(trial: Trial, target: Path, results: Path) -> Path:
    """Run the load and return the folder that it left."""
    before = set(results.iterdir()) if results.is_dir() else set()
    command = [sys.executable, "-m", "loadkit", "run", *trial.run_options(), "--target", str(target), "--results", str(results), "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOADKIT_", "LOCUST_"))}
    with lifeline.held() as line:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[line],
            env=environment | {lifeline.LIFELINE: str(line)},
            start_new_session=True,
        )
        try:
            out, told = process.communicate(timeout=trial.ramp_s + trial.seconds + trial.swap_s + LOAD_STARTS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise TrialFailed(f"the run at {trial.rate:g} replies/s did not end") from None
        finally:
            sandbox.end(process)
    name = json.loads(out)["run"]["name"] if out else ""
    made = [path for path in results.iterdir() if path not in before and path.name.startswith(name)] if name else []
    if not made:
        raise TrialFailed(f"the run at {trial.rate:g} replies/s left nothing: {' '.join(told.decode(errors='replace').split())[-400:]}")
    return made[0]
