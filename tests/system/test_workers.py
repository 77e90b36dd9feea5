"""Many processes, one run: however it ends and whoever is lost, its numbers are exact to the message."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

from loadkit.cli.run import own_port
from tests.support import eventually
from tests.system.driver import (
    SCENARIO,
    Finished,
    SandboxProcess,
    desk_adds_up,
    finish,
    free_port,
    goes_on,
    has_replies,
    partition_holds,
    run,
    start,
    workers_of,
)

TWO = ("--processes", "2", "-u", "10", "-r", "10", "--quiet", "--log-deliveries")


def exact(done: Finished, box: SandboxProcess) -> dict[str, Any]:
    """Check that ends, log and the server's truth are the same replies; return the summary."""
    summary = done.summary
    assert partition_holds(summary), summary["replies"]
    assert desk_adds_up(summary), summary["counters"]
    accepted = {marker for marker, row in done.deliveries.items() if row["end"] != "refused"}
    assert accepted == set(box.truth())
    assert summary["replies"]["accepted"] == len(accepted) > 0
    assert summary["replies"]["undetermined"] == 0
    assert {row["worker"] for row in done.deliveries.values()} == {"0", "1"}
    return summary


def test_a_timed_run_on_two_workers_is_exact(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """`-t`: what the workers hold in their last seconds reaches the master, and the folder has a row for each."""
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *TWO, "-t", "6s")
    assert done.code == 0, done.err
    summary = exact(done, sandbox)
    assert summary["run"]["workers"] == 2
    assert summary["run"]["ended_by"] == "time"
    rows = summary["workers"]
    assert [(row["worker"], row["state"], row["missed_intervals"]) for row in rows] == [(0, "finished", 0), (1, "finished", 0)]
    assert sum(row["replies"] for row in rows) == summary["replies"]["attempted"]
    assert all(row["lag_p99_ms"] is not None and row["cpu_max"] is not None for row in rows)
    assert sum(row["cable_open_max"] for row in rows) == summary["gauges"]["cable.open"]["max"] == 10


def test_a_signal_to_the_parent_drains_every_worker(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """SIGTERM: the master alone is told, and all drain."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *TWO, "-t", "60s")
    eventually(lambda: has_replies(results), within=120)
    process.send_signal(signal.SIGTERM)
    done = finish(results, process)
    assert done.code == 130, done.err
    assert exact(done, sandbox)["run"]["ended_by"] == "signal"


def test_control_c_to_the_whole_group_is_exact(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Plain `locust --processes 2` in a terminal: master and workers get the signal at once, and nothing is lost of it."""
    results = tmp_path / "reports"
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIO), "--headless", *(option for option in TWO if option != "--quiet")]
    port = str(free_port())
    options = ["--target", str(sandbox.target), "--results", str(results), "--master-bind-host", "127.0.0.1"]
    options += ["--master-bind-port", port, "--master-port", port]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        eventually(lambda: has_replies(results), within=120)
        os.killpg(process.pid, signal.SIGINT)
        done = finish(results, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert done.code == 130, done.err
    assert {row["state"] for row in exact(done, sandbox)["workers"]} <= {"finished", "left"}


def test_stages_that_end_are_exact(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """`--stages` leads customers up and down again and ends the run; `-u` beside it is ignored, and a line says so."""
    options = ("--processes", "2", "--stages", "2s:8,8s:8,2s:0", "--log-deliveries", "-u", "99")
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *options)
    assert done.code == 0, done.err
    assert "-u ignored" in done.err
    summary = exact(done, sandbox)
    assert summary["run"]["customers"] == 8
    assert 12 <= summary["run"]["seconds"] < 24


def test_a_killed_worker_is_named_and_the_run_goes_on(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """kill -9 of one of two: what it had reported stays, what was in flight there is undetermined, and validity says whose and when."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *TWO, "-t", "60s")
    victim = workers_of(process.pid)[0]
    eventually(lambda: has_replies(results), within=120)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: "is lost since" in events(results), within=30)
    goes_on(results, 6)
    process.send_signal(signal.SIGTERM)
    done = finish(results, process)
    summary = done.summary
    assert partition_holds(summary)
    lost = [row for row in summary["workers"] if row["state"] == "lost"]
    assert len(lost) == 1
    assert lost[0]["undetermined"] == summary["replies"]["undetermined"]
    reason = next(reason for reason in summary["validity"]["reasons"] if reason["name"] == "workers.lost")
    assert lost[0]["name"] in reason["text"]
    assert lost[0]["since"] in reason["text"]
    assert summary["validity"]["state"] == "suspect"
    assert summary["replies"]["attempted"] <= len(sandbox.truth())
    survivor = next(row for row in summary["workers"] if row["state"] == "finished")
    mine = {marker for marker, row in done.deliveries.items() if row["worker"] == str(survivor["worker"])}
    assert len(mine) == survivor["replies"]
    assert done.folder is not None
    assert lost[0]["name"] in (done.folder / "report.html").read_text()


def test_a_frozen_worker_comes_back_and_nothing_is_counted_twice(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """SIGSTOP for 6 s: named while it is away; when it wakes up it takes its undetermined replies back, and all is exact again."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *TWO, "-t", "60s")
    victim = workers_of(process.pid)[0]
    eventually(lambda: has_replies(results), within=120)
    os.kill(victim, signal.SIGSTOP)
    try:
        eventually(lambda: "is lost since" in events(results), within=30)
    finally:
        os.kill(victim, signal.SIGCONT)
    eventually(lambda: "is present again since" in events(results), within=30)
    goes_on(results, 6)
    process.send_signal(signal.SIGTERM)
    done = finish(results, process)
    summary = exact(done, sandbox)
    assert [row["missed_intervals"] for row in summary["workers"]] == [0, 0]
    named = [row["name"] for row in summary["workers"] if row["silences"]]
    reason = next(reason for reason in summary["validity"]["reasons"] if reason["name"] == "workers.silent")
    assert len(named) == 1
    assert named[0] in reason["text"]


def events(results: Path) -> str:
    """Return what the run has noted so far."""
    return "".join(file.read_text() for file in results.glob("*/events.jsonl"))


def test_a_worker_that_joins_late_is_used(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """A master and a worker, then one more: it gets a rank of its own, agents, and a share of the customers."""
    results, port = tmp_path / "reports", str(free_port())
    master = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "1")
    process = start(results, "chatty", "--target", str(sandbox.target), *master, *TWO[2:], "-t", "16s")
    join = [sys.executable, "-m", "loadkit", "run", "chatty", "--worker", "--master-port", port, "--target", str(sandbox.target)]
    workers = [subprocess.Popen(join, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)]
    eventually(lambda: has_replies(results), within=120)
    workers.append(subprocess.Popen(join, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
    done = finish(results, process)
    told = [worker.communicate(timeout=30)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    summary = exact(done, sandbox)
    assert summary["workers"][1]["replies"] > 0
    assert "joined late" in events(results)


def test_a_reply_on_another_workers_cable_is_marked_once(tmp_path: Path) -> None:
    """The sandbox misroutes exactly so many; whichever worker's cables the copies reach, each reply is marked and no frame is a stray."""
    box = SandboxProcess(tmp_path, "--service", "none", "--fault", "misroute=20%")
    try:
        done = run(tmp_path / "reports", "chatty", "--target", str(box.target), *TWO, "-t", "10s", "--lost-after", "6s")
    finally:
        box.stop()
    truth = {marker for marker, line in box.truth().items() if "misroute" in json.dumps(line)}
    marked = {marker for marker, row in done.deliveries.items() if "misrouted" in row["marks"]}
    assert marked == truth
    assert done.summary["replies"]["misrouted"] == len(truth) > 0
    assert done.summary["counters"]["reply.stray"] == 0


def test_workers_draw_different_texts_and_identities(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Forked workers do not say the same things: markers and texts of the two are disjoint."""
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *TWO, "-t", "5s")
    exact(done, sandbox)
    assert len(done.deliveries) == len(set(done.deliveries))


@pytest.mark.parametrize("option", ["--inbox=nobody-knows-it", "--threshold=nonsense"])
def test_bad_input_ends_master_and_workers_before_any_load(sandbox: SandboxProcess, tmp_path: Path, option: str) -> None:
    """One sentence, exit code 2, no folder, and soon."""
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *TWO, "-t", "5s", option)
    assert done.code == 2
    assert len([line for line in done.err.splitlines() if line.startswith("loadkit:")]) == 1, done.err
    assert "Traceback" not in done.err
    assert done.folder is None


def test_a_port_in_use_ends_master_and_workers(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """One sentence and soon, where Locust's workers look for five minutes for a master that never was."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port)
        done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *TWO, "-t", "5s", *ports)
    assert done.code == 2
    assert f"loadkit: cannot listen for workers on 127.0.0.1:{port}: " in done.err
    assert "Traceback" not in done.err
    assert done.folder is None


@pytest.mark.parametrize("way", ["option", "environment", "config file", "plain locust", "another address"])
def test_a_master_of_its_own_forks_listens_on_this_machine_alone(way: str, sandbox: SandboxProcess, tmp_path: Path) -> None:
    """However it is told how many; it listens elsewhere only where an address is named."""
    port, results = free_port(), tmp_path / "reports"
    load = ("--target", str(sandbox.target), "-u", "2", "-r", "2", "-t", "60s", "--results", str(results))
    program = ["locust", "--headless", "-f", str(SCENARIO)] if way == "plain locust" else ["loadkit", "run", "chatty"]
    command = [sys.executable, "-m", *program, *load, "--master-bind-port", str(port), "--master-port", str(port)]
    command += {"another address": ["--master-bind-host", "0.0.0.0"]}.get(way, [])
    environment = os.environ | ({"LOCUST_PROCESSES": "2"} if way == "environment" else {})
    if way == "config file":
        (tmp_path / "locust.conf").write_text("processes = 2\n")
    elif way != "environment":
        command += ["--processes", "2"]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, **streams)
    try:
        addresses = eventually(lambda: listening(port), within=40)
        assert addresses == {"00000000" if way == "another address" else "0100007F"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def listening(port: int) -> set[str]:
    """Return the addresses on which somebody listens at a port of this machine, as the kernel writes them."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}


def test_nobody_else_gets_the_port_of_a_run() -> None:
    """Before its master listens, who asks for it in the plain way is refused; the master is not."""
    with own_port() as held, zmq.Context() as context, context.socket(zmq.ROUTER) as master:
        host, port = held.getsockname()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((host, port))
        master.bind(f"tcp://{host}:{port}")
        with socket.create_connection((host, port), timeout=5):
            pass
