"""Starts a sandbox and runs the product as a person does: by its commands, in processes of their own."""

from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadkit.cli.run import own_port
from tests.support import eventually

SCENARIO = Path(__file__).parents[2] / "locustfiles" / "chatty.py"
RAPID = Path(__file__).with_name("rapid.py")
PUT_FAULT = (
    "import sys, urllib.request as u; "
    "u.urlopen(u.Request(sys.argv[1] + '/faults', sys.argv[2].encode(), {'Content-Type': 'application/json'}, method='PUT'))"
)


class SandboxProcess:
    """`loadkit sandbox` in a process; its truth lies beside its target file."""

    def __init__(self, folder: Path, *options: str, program: tuple[str, ...] = ("-m", "loadkit")) -> None:
        self.target, self.truth_file = folder / "target.toml", folder / "truth.jsonl"
        command = [
            sys.executable,
            *program,
            "sandbox",
            "--write-target",
            str(self.target),
            "--truth",
            str(self.truth_file),
            *options,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.first = json.loads(self.process.stdout.readline())

    def truth(self) -> dict[str, dict[str, Any]]:
        """Return what was done to each reply, by marker."""
        return {line["marker"]: line for line in map(json.loads, self.truth_file.read_text().splitlines())}

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@dataclass
class Finished:
    """A run that ended: exit code, streams, folder and what its files say."""

    code: int
    out: str
    err: str
    folder: Path | None

    @property
    def summary(self) -> dict[str, Any]:
        assert self.folder is not None, self.err
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def deliveries(self) -> dict[str, dict[str, str]]:
        assert self.folder is not None, self.err
        with (self.folder / "deliveries.csv").open(newline="") as file:
            return {row["marker"]: row for row in csv.DictReader(file)}

    @property
    def events(self) -> list[dict[str, Any]]:
        assert self.folder is not None, self.err
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]


def start(results: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `loadkit run` with its results in a folder of its own."""
    command = [sys.executable, "-m", "loadkit", "run", *arguments, "--results", str(results)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def finish(results: Path, process: subprocess.Popen[str], *, within: float = 120) -> Finished:
    """Wait for a started run."""
    out, err = process.communicate(timeout=within)
    folders = sorted(results.iterdir()) if results.is_dir() else []
    return Finished(process.returncode, out, err, folders[-1] if folders else None)


def run(results: Path, *arguments: str) -> Finished:
    """Run to the end."""
    return finish(results, start(results, *arguments))


def until_replied(box: SandboxProcess, results: Path, replies: int, *options: str) -> Finished:
    """Let customers and agents who never think talk until the server has seen so many replies."""
    process = start(results, str(RAPID), "--target", str(box.target), "-t", "120s", "--log-deliveries", "--quiet", *options)
    eventually(lambda: box.truth_file.exists() and box.truth_file.read_bytes().count(b"\n") > replies, within=100, every=0.1)
    process.send_signal(signal.SIGTERM)
    return finish(results, process)


def partition_holds(summary: dict[str, Any]) -> bool:
    """Whether the ends add up to the attempts."""
    replies = summary["replies"]
    ends = sum(replies[end] for end in ("on_time", "late", "recovered", "lost", "undetermined"))
    return replies["attempted"] == replies["accepted"] + replies["refused"] and replies["accepted"] == ends


def desk_adds_up(summary: dict[str, Any]) -> bool:
    """Whether every question was seen or not, and then answered, cancelled, never picked up or never sent."""
    counters = summary["counters"]
    rest = sum(counters[f"desk.{name}"] for name in ("cancelled", "unpicked", "unsent"))
    shown = summary["metrics"]["question.delivery"]["count"] + counters["question.unseen"]
    return counters["question.asked"] <= counters["desk.taken"] == shown == summary["replies"]["attempted"] + rest


def child_of(pid: int) -> int:
    """Return the process that `loadkit run` has started."""
    return int(eventually(lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), within=10)[0])


def workers_of(parent: int) -> list[int]:
    """Return the two workers of a run."""
    child = child_of(parent)

    def both() -> list[int]:
        pids = [int(pid) for pid in Path(f"/proc/{child}/task/{child}/children").read_text().split()]
        return pids if len(pids) == 2 else []

    return eventually(both, within=20)


def has_replies(results: Path) -> bool:
    """Whether a run has written replies already."""
    files = list(results.glob("*/intervals.jsonl"))
    return bool(files) and '"reply.on_time"' in files[0].read_text()


def goes_on(results: Path, intervals: int) -> None:
    """Wait until a run has written so many more intervals."""

    def written() -> int:
        return sum(file.read_bytes().count(b"\n") for file in results.glob("*/intervals.jsonl"))

    before = written()
    eventually(lambda: written() >= before + intervals, within=30)


_HELD: list[socket.socket] = []


def free_port() -> int:
    """Return a port that nobody else gets as long as these tests last."""
    _HELD.append(own_port())
    return int(_HELD[-1].getsockname()[1])
