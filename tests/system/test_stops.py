"""A stop at an awkward moment: in a drain, by a signal that Locust is deaf to, with nobody left. The summary is always there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.driver import (
    SCENARIO,
    Finished,
    SandboxProcess,
    desk_adds_up,
    finish,
    free_port,
    has_replies,
    partition_holds,
    run,
    start,
    workers_of,
)

MODELS = {
    "stages": ("--stages", "1s:8,60s:8"),
    "arrivals": ("--arrivals", "4/s", "-t", "60s", "--agents", "12"),
    "plain": ("-u", "8", "-r", "8", "-t", "60s"),
}
PROCESSES = {"one process": (), "two workers": ("--processes", "2")}


@contextlib.contextmanager
def plain_locust(results: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start `locust` itself in a group of its own; whatever is left of the group in the end is killed."""
    port = str(free_port())
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIO), "--headless", "--results", str(results), "--log-deliveries", *options]
    ports = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    process = subprocess.Popen(
        [*command, *ports], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def exact(done: Finished, box: SandboxProcess) -> None:
    """Check that all ends, the log and the truth agree."""
    summary = done.summary
    assert partition_holds(summary)
    assert desk_adds_up(summary)
    assert {marker for marker, row in done.deliveries.items() if row["end"] != "refused"} == set(box.truth())
    assert summary["replies"]["accepted"] == len(box.truth()) > 0


@pytest.mark.parametrize("processes", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("model", ["stages", "arrivals"])
def test_a_signal_ends_a_shaped_run_drained(
    sandbox: SandboxProcess, tmp_path: Path, model: str, number: int, processes: tuple[str, ...]
) -> None:
    """Locust's main waits for a shape without listening to SIGTERM, and takes Ctrl-C for the shape's end: 130 all the same, and exact."""
    results = tmp_path / "reports"
    with plain_locust(results, "--target", str(sandbox.target), *MODELS[model], *processes) as process:
        eventually(lambda: has_replies(results), within=120)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        done = finish(results, process, within=60)
    assert done.code == 130, done.err
    assert done.summary["run"]["ended_by"] == "signal"
    exact(done, sandbox)


@pytest.mark.parametrize("model", ["stages", "plain"])
@pytest.mark.parametrize("processes", PROCESSES.values(), ids=PROCESSES)
def test_a_signal_in_the_drain_loses_nothing(tmp_path: Path, model: str, processes: tuple[str, ...]) -> None:
    """The run is over and waits for a late reply: a signal then waits with it."""
    box = SandboxProcess(tmp_path, "--service", "none", "--fault", "drop=50%")
    results = tmp_path / "reports"
    load = {"stages": ("--stages", "1s:8,4s:8"), "plain": ("-u", "8", "-r", "8", "-t", "5s")}[model]
    try:
        with plain_locust(results, "--target", str(box.target), "--lost-after", "6s", *load, *processes) as process:
            eventually(lambda: has_replies(results), within=120)
            file = next(results.glob("*/intervals.jsonl"))
            eventually(lambda: "cable.wanted_seconds" not in file.read_text().splitlines()[-1], within=20)  # counted until the stop
            process.send_signal(signal.SIGTERM)
            done = finish(results, process, within=60)
        exact(done, box)
        assert done.summary["replies"]["lost"] > 0
        assert done.code in (3, 130), done.err  # its thresholds are broken, by the lost ones
    finally:
        box.stop()


@pytest.mark.parametrize("model", ["plain", "stages"])
def test_a_run_that_lost_all_its_workers_ends_void(sandbox: SandboxProcess, tmp_path: Path, model: str) -> None:
    """Nobody is left to measure: the master does not wait for the end of the run time."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *MODELS[model], "--processes", "2", "--quiet")
    workers = workers_of(process.pid)
    eventually(lambda: has_replies(results), within=120)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    done = finish(results, process, within=40)
    assert done.code == 4, done.err
    assert any("no worker was left" in reason["text"] for reason in done.summary["validity"]["reasons"])
    assert [row["state"] for row in done.summary["workers"]] == ["lost", "lost"]


def test_the_customers_of_a_lost_worker_move_to_the_others(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Within some seconds all customers are there again, and they stay."""
    results = tmp_path / "reports"
    load = ("-u", "8", "-r", "8", "-t", "20s")
    process = start(results, "chatty", "--target", str(sandbox.target), *load, "--processes", "2", "--quiet")
    victim = workers_of(process.pid)[0]
    eventually(lambda: has_replies(results), within=120)
    os.kill(victim, signal.SIGKILL)
    summary = finish(results, process).summary
    survivor = next(row for row in summary["workers"] if row["state"] == "finished")
    assert survivor["customers_max"] == 8
    assert partition_holds(summary)


def test_a_late_worker_that_cannot_start_is_only_not_there(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Its own target file is read, not the master's, and is no good: the run goes on without it, and the summary says why."""
    results, port = tmp_path / "reports", str(free_port())
    master = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "1")
    process = start(results, "chatty", "--target", str(sandbox.target), *master, "-u", "6", "-r", "6", "-t", "16s", "--quiet")
    join = [sys.executable, "-m", "loadkit", "run", "chatty", "--worker", "--master-port", port, "--target"]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    workers = [subprocess.Popen([*join, str(sandbox.target)], **options)]
    eventually(lambda: has_replies(results), within=120)
    workers.append(subprocess.Popen([*join, str(tmp_path / "nowhere.toml")], **options))
    done = finish(results, process)
    codes = [worker.wait(timeout=40) for worker in workers]
    assert done.code == 0, done.err
    assert codes[0] == 0
    assert [row["state"] for row in done.summary["workers"]] == ["finished", "unable"]
    assert any("nowhere.toml" in reason["text"] for reason in done.summary["validity"]["reasons"])
    assert partition_holds(done.summary)


def test_visits_that_raise_or_interrupt_are_told_apart(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Of two kinds of visitors one ends by `interrupt`, which is an end like any other, one by an exception, which cuts it."""
    scenario = tmp_path / "two_kinds.py"
    scenario.write_text(
        "from locust import TaskSet, events, task\n"
        "from loadkit.swarm import ContactUser, install\n\n\n"
        "class Walk(TaskSet):\n    @task\n    def go(self):\n        self.user.open_conversation()\n        self.interrupt()\n\n\n"
        "class Calm(ContactUser):\n    tasks = [Walk]\n\n\n"
        "class Clumsy(ContactUser):\n    @task\n    def fall(self):\n        raise ValueError('oops')\n\n\n"
        "install(events)\n"
    )
    options = ("--arrivals", "constant 0s:8/s,4s:8/s", "-u", "20", "--quiet")
    done = run(tmp_path / "reports", str(scenario), "--target", str(sandbox.target), *options)
    counters = done.summary["counters"]
    assert counters["schedule.started"] == 32
    assert counters["iteration.finished"] + counters["iteration.cut"] == 32
    assert counters["iteration.cut"] == counters["user.failed"] > 0
    assert counters["iteration.finished"] == done.summary["metrics"]["http.contact.create"]["count"] > 0
