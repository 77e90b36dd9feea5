"""A real `loadkit run` under watch: the sandbox on the last core, the run on the first, and what its processes use of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from loadkit.measure.hdr import decode
from loadkit.measure.histogram import Histogram
from tests.bench.plan import pin
from tests.system.driver import Finished, SandboxProcess, finish, start

PATIENCE_S = 60
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@contextmanager
def sandbox(folder: Path) -> Iterator[SandboxProcess]:
    """Keep a sandbox on the last core; what is started meanwhile goes to the first."""
    pin(1)
    box = SandboxProcess(folder, "--service", "none")
    try:
        pin(0)
        yield box
    finally:
        pin(1)
        box.stop()


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far, all its threads', user and system, in steps of a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def wait_for(there: Callable[[], Any], what: str, *, within: float = PATIENCE_S) -> Any:
    """Return what is there, once it is. Raises SystemExit."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        if found := there():
            return found
        time.sleep(0.1)
    raise SystemExit(f"{what} within {within:g} s")


class Watched:
    """A run from its start to its end. `master` is its only Locust, or the one with workers below it."""

    def __init__(self, results: Path, *arguments: str) -> None:
        self._results = results
        self.process = start(results, *arguments, "--quiet")
        self.master = wait_for(self._locust, "loadkit run started no Locust")

    def _locust(self) -> psutil.Process | None:
        if self.process.poll() is not None:
            raise SystemExit(f"the run did not start: {self.process.communicate()[1][-500:]}")
        return next((one for one in psutil.Process(self.process.pid).children() if "locust" in one.cmdline()), None)

    def workers(self, count: int) -> list[int]:
        """Return the processes that generate load: so many workers, or with 0 the one process there is."""
        if not count:
            return [self.master.pid]
        workers = wait_for(lambda: len(found := self._children()) >= count and found, f"there were not {count} workers")
        return [worker.pid for worker in workers[:count]]

    def _children(self) -> list[psutil.Process]:
        try:
            return self.master.children()
        except psutil.NoSuchProcess:
            raise SystemExit(f"the run ended at once: {self.process.communicate()[1][-500:]}") from None

    def intervals(self) -> list[dict[str, Any]]:
        """Return the intervals that are on the disk by now."""
        file = next(iter(self._results.glob("*/intervals.jsonl")), None)
        lines = [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")] if file else []
        return [line for line in lines if not line.get("ended")]

    def gauge(self, name: str) -> float:
        """Return a gauge as the workers told it last, together."""
        newest = {line["worker"]: line["gauges"].get(name, 0.0) for line in self.intervals()}
        return sum(newest.values())

    def latencies(self, name: str, began: float, ended: float) -> Histogram:
        """Return the latencies of a metric in the intervals within two moments (Unix seconds)."""
        found = Histogram()
        for folder in self._results.iterdir():
            started = json.loads((folder / "run.json").read_text())["started_us"] / 1e6
            lines = [line.split(",") for line in (folder / "latency.hlog").read_text().splitlines() if line.startswith(f"Tag={name},")]
            for _, since, length, _, payload in lines:
                if began <= started + float(since) and started + float(since) + float(length) <= ended:
                    counts = decode(payload)
                    found.add(Histogram(counts, sum(counts.values())))
        return found

    def finish(self) -> Finished:
        """Wait for the end."""
        return finish(self._results, self.process, within=120)

    def end(self) -> None:
        """End a run that was not waited for."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()


def module(name: str) -> list[str]:
    """Return the command of a module of the bench."""
    return [sys.executable, "-m", f"tests.bench.{name}"]
