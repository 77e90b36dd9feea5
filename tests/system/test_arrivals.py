"""The open model: what the schedule intended is started or dropped with a reason, to the customer, on one process and on many."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from loadkit.workload import profile
from loadkit.workload.arrivals import Schedule
from tests.support import eventually
from tests.system.driver import SandboxProcess, desk_adds_up, finish, has_replies, partition_holds, run, start, workers_of

RAPID = ("--agents", "12", "--log-deliveries", "--quiet")


def intended(text: str, *, seed: int = 1) -> int:
    """Return how many arrivals a whole profile intends."""
    plan = profile.arrivals(text)
    return sum(1 for _ in Schedule.of(plan, seed))


def adds_up(summary: dict[str, Any]) -> dict[str, int]:
    """Check the sums of an open run; return its counters."""
    counters = summary["counters"]
    reasons = sum(n for name, n in counters.items() if name.startswith("schedule.dropped."))
    assert counters["schedule.dropped"] == reasons
    assert counters["schedule.offered"] == counters["schedule.started"] + reasons
    assert counters["schedule.started"] == counters["iteration.finished"] + counters["iteration.cut"]
    assert summary["metrics"]["schedule.lag"]["count"] == counters["schedule.started"]
    assert partition_holds(summary)
    assert desk_adds_up(summary)
    return counters


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_every_intended_arrival_is_offered(sandbox: SandboxProcess, tmp_path: Path, processes: tuple[str, ...]) -> None:
    """The same seed intends the same arrivals, however many workers share them; each starts, and the replies are exact."""
    text = "2s:5/s,4s:5/s"
    done = run(tmp_path / "reports", "conversations", "--target", str(sandbox.target), "--arrivals", text, *RAPID, *processes)
    assert done.code == 0, done.err
    counters = adds_up(done.summary)
    assert counters["schedule.offered"] == counters["schedule.started"] == intended(text)
    assert {marker for marker, row in done.deliveries.items() if row["end"] != "refused"} == set(sandbox.truth())
    assert done.summary["run"]["ended_by"] == "time"


@pytest.mark.alone  # that this generator was in time is what is judged
def test_a_full_house_drops_with_its_reason(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """`-u` is the most at once: whoever finds no place within a second is dropped as such, and never shifted."""
    options = ("--arrivals", "constant 0s:6/s,6s:6/s", "-u", "2", *RAPID)
    done = run(tmp_path / "reports", "arrivals", "--target", str(sandbox.target), *options)
    counters = adds_up(done.summary)
    assert counters["schedule.offered"] == 36
    assert counters["schedule.dropped.cap_reached"] > 0
    assert done.summary["run"]["customers"] == 2
    assert done.summary["metrics"]["schedule.lag"]["max"] < 1500  # carried for a second at most
    assert done.summary["validity"]["state"] == "valid"  # a slow target is no fault of the generator


def test_the_arrivals_of_a_killed_worker_are_not_forgotten(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Its share goes to the others two seconds ahead; those that fell in between are dropped, and say why."""
    results, text = tmp_path / "reports", "constant 0s:8/s,16s:8/s"
    process = start(results, "conversations", "--target", str(sandbox.target), "--arrivals", text, "--processes", "2", *RAPID)
    victim = workers_of(process.pid)[0]
    eventually(lambda: has_replies(results), within=120)
    os.kill(victim, signal.SIGKILL)
    summary = finish(results, process).summary
    counters = summary["counters"]
    assert counters["schedule.offered"] == intended(text) == 128
    assert counters["schedule.dropped.worker_lost"] > 0
    assert counters["schedule.offered"] == counters["schedule.started"] + counters["schedule.dropped"]


def test_run_time_ends_arrivals_that_have_no_end(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """`--arrivals 4/s -t 5s`: the run time counts from the first moment of the schedule."""
    done = run(tmp_path / "reports", "conversations", "--target", str(sandbox.target), "--arrivals", "4/s", "-t", "5s", *RAPID)
    assert done.code == 0, done.err
    assert adds_up(done.summary)["schedule.started"] > 0
    assert 5 <= done.summary["run"]["seconds"] < 8
