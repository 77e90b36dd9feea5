"""However a run ends, its replies are accounted for and its folder says how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support import eventually
from tests.system.driver import (
    PUT_FAULT,
    SandboxProcess,
    child_of,
    finish,
    goes_on,
    has_replies,
    partition_holds,
    run,
    start,
    workers_of,
)

LOAD = ("-u", "10", "-r", "10", "-t", "60s", "--quiet", "--log-deliveries")


def test_a_signal_drains_and_exits_130(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """SIGTERM to the parent: drained, judged as it stands, 130, and the ends are what the server accepted."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *LOAD)
    eventually(lambda: has_replies(results), within=120)
    process.send_signal(signal.SIGTERM)
    done = finish(results, process)
    assert done.code == 130
    assert done.summary["verdict"] == "interrupted"
    assert done.summary["run"]["ended_by"] == "signal"
    assert partition_holds(done.summary)
    assert done.summary["replies"]["accepted"] == len(sandbox.truth()) == len(done.deliveries)
    assert done.folder is not None
    assert (done.folder / "report.html").is_file()


def test_a_second_signal_ends_it_at_once(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """A drain that would take long is cut by the second signal, also 130, and nothing of the group is left."""
    results = tmp_path / "reports"
    subprocess.run([sys.executable, "-c", PUT_FAULT, sandbox.first["control"], '{"drop": "100%"}'], check=True)
    process = start(results, "chatty", "--target", str(sandbox.target), *LOAD)
    child = child_of(process.pid)
    eventually(lambda: "reply.attempted" in "".join(f.read_text() for f in results.glob("*/intervals.jsonl")), within=30)
    process.send_signal(signal.SIGINT)
    file = next(results.glob("*/intervals.jsonl"))
    eventually(lambda: "cable.wanted_seconds" not in file.read_text().splitlines()[-1], within=10)  # counted until the stop
    process.send_signal(signal.SIGINT)
    done = finish(results, process, within=15)
    assert done.code == 130
    assert not Path(f"/proc/{child}").exists()
    report = subprocess.run([sys.executable, "-m", "loadkit", "report", str(done.folder)], capture_output=True, text=True, check=False)
    assert report.returncode == 130, report.stderr
    assert "A second signal ended the run at once" in report.stdout
    assert "longer --drain" not in report.stdout  # it was not the drain that was too short
    assert (done.summary["verdict"], done.summary["run"]["ended_by"]) == ("interrupted", "signal")
    assert [row["state"] for row in done.summary["workers"]] == ["killed"]
    assert done.summary["replies"]["undetermined"] > 0
    assert partition_holds(done.summary)


def test_a_killed_generator_leaves_a_readable_folder(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """kill -9 of Locust: void, 4, and everything but the last interval is there."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *LOAD)
    eventually(lambda: has_replies(results), within=120)
    os.kill(child_of(process.pid), signal.SIGKILL)
    done = finish(results, process)
    assert done.code == 4
    assert done.summary["verdict"] == "void"
    assert done.summary["run"]["ended_by"] == "crash"
    assert done.summary["replies"]["on_time"] > 0
    assert partition_holds(done.summary)


def test_a_killed_master_is_noticed_at_once_and_takes_its_workers_along(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """kill -9 of the Locust that has forked workers, which look for it for a minute: told, void, 4, and nobody is left."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), "-u", "10", "-r", "10", "-t", "120s", "--processes", "2")
    workers = workers_of(process.pid)
    eventually(lambda: has_replies(results), within=120)
    os.kill(child_of(process.pid), signal.SIGKILL)
    done = finish(results, process, within=30)
    assert done.code == 4
    assert "Locust was ended by signal 9 (Killed)" in done.err
    assert "verdict: void" in done.out
    assert partition_holds(done.summary)
    eventually(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()], within=10)


def test_a_killed_parent_ends_the_run_drained(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """kill -9 of `loadkit run`: the generator notices, drains and writes its summary."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *LOAD)
    child = child_of(process.pid)
    eventually(lambda: has_replies(results), within=120)
    process.kill()
    process.communicate(timeout=30)
    eventually(lambda: not Path(f"/proc/{child}").exists() and list(results.glob("*/summary.json")), within=30)
    summary = json.loads(next(results.glob("*/summary.json")).read_text())
    assert partition_holds(summary)
    assert summary["replies"]["accepted"] == len(sandbox.truth())


def test_plain_locust_leaves_the_same_folder(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """`locust -f …` with our options: the same folder, the same exit code."""
    results = tmp_path / "reports"
    scenario = Path(__file__).parents[2] / "locustfiles" / "chatty.py"
    command = [sys.executable, "-m", "locust", "-f", str(scenario), "--headless", "-u", "5", "-r", "5", "-t", "4s"]
    options = ["--target", str(sandbox.target), "--results", str(results), "--threshold", "reply.response p(50) < 1us"]
    plain = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert plain.returncode == 3, plain.stderr
    folder = next(results.iterdir())
    assert {path.name for path in folder.iterdir()} >= {"run.json", "intervals.jsonl", "latency.hlog", "summary.json", "report.html"}


def test_requests_that_are_held_show_in_response_and_not_in_delivery(tmp_path: Path) -> None:
    """Coordinated omission: a server that holds requests for 6 s is seen from due, and not by the median from sent."""
    box = SandboxProcess(tmp_path, "--service", "none")
    results = tmp_path / "reports"
    try:
        process = start(results, "chatty", "--target", str(box.target), "-u", "10", "-r", "10", "-t", "60s", "--quiet", "--agents", "2")
        eventually(lambda: has_replies(results), within=120)
        subprocess.run([sys.executable, "-c", PUT_FAULT, box.first["control"], '{"stall": "6s"}'], check=True)
        goes_on(results, 9)  # they are answered, and more
        process.send_signal(signal.SIGTERM)
        metrics = finish(results, process).summary["metrics"]
    finally:
        box.stop()
    assert metrics["reply.response"]["p99"] > 4000
    assert metrics["reply.delivery"]["p50"] < metrics["reply.response"]["p99"] / 20


def test_a_generator_that_stood_still_is_told_apart_from_a_slow_server(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """SIGSTOP for 2 s: validity says so."""
    results = tmp_path / "reports"
    process = start(results, "chatty", "--target", str(sandbox.target), *LOAD)
    eventually(lambda: has_replies(results), within=120)
    child = child_of(process.pid)
    os.kill(child, signal.SIGSTOP)
    try:
        subprocess.run(["sleep", "2"], check=True)
    finally:
        os.kill(child, signal.SIGCONT)
    goes_on(results, 2)
    process.send_signal(signal.SIGTERM)
    summary = finish(results, process).summary
    assert summary["validity"]["state"] in ("suspect", "void")
    assert any(reason["name"].startswith("generator.lag") for reason in summary["validity"]["reasons"])


def test_a_server_that_answers_nothing_useful_is_void_not_a_traceback(tmp_path: Path) -> None:
    """Every message refused with 429: nothing was measured, the run is void, and the errors are named."""
    box = SandboxProcess(tmp_path, "--service", "none", "--fault", "429=100%")
    try:
        done = run(tmp_path / "reports", "chatty", "--target", str(box.target), "-u", "5", "-r", "5", "-t", "6s", "--quiet")
    finally:
        box.stop()
    replies = done.summary["replies"]
    assert replies["attempted"] == replies["refused"] == len(box.truth()) > 0
    assert done.code == 3
    assert {error["kind"] for error in done.summary["errors"]} >= {"throttled"}
    assert "Traceback" not in done.err
