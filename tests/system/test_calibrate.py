"""`loadkit calibrate` as a person uses it: on this machine, and on a finished run with its server's truth."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import eventually
from tests.system.driver import SandboxProcess, run

SMALL = ("--replies-per-second", "40", "--sockets", "40", "--seconds", "6")


def calibrate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadkit", "calibrate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A small calibration: its results and how the command ended."""
    results = tmp_path_factory.mktemp("calibration") / "results"
    return results, calibrate(*SMALL, "--results", results, "--json")


def the(results: Path, ending: str) -> Path:
    (folder,) = results.glob(f"*-{ending}")
    return folder


def test_it_measures_itself_and_counts_exactly(measured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Its counts are exact without faults and with all of them, whatever the machine made of the stamps; the JSON is kept."""
    results, done = measured
    found = json.loads(done.stdout)
    assert found == json.loads((results / "calibration.json").read_text())
    assert done.returncode == found["exit_code"] == (0 if found["trustworthy"] else 3), done.stderr
    for judged in (found["run"], found["faults"]):
        assert judged["counts"]["exact"], judged["counts"]
        assert judged["counts"]["compared"] == judged["replies"]["attempted"] > 150
    faults, counted = found["faults"]["counts"]["faults"], found["faults"]["replies"]
    assert set(faults) >= {"drop", "duplicate", "disconnect"}
    assert found["faults"]["counters"]["cable.dropped"] == faults["disconnect"]
    assert counted["duplicate"] == faults["duplicate"]
    assert counted["lost"] + counted["recovered"] >= faults["drop"] + faults["disconnect"]
    assert [step["asked_per_second"] for step in found["steps"]][:2] == [20, 40]
    assert "40 replies/s on 40 sockets for 6 s" in done.stderr


def test_its_runs_can_be_judged_again_by_their_truth(measured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Each run folder holds the truth of its own server; its counts are judged the same, and in words."""
    results, done = measured
    folder = the(results, "calibrate-40-faults")
    again = calibrate(folder, "--truth", folder / "truth.jsonl")
    kept = json.loads(done.stdout)["faults"]
    assert again.returncode == (3 if "NOT trustworthy" in again.stdout else 0), again.stderr  # stamps too are judged here
    assert f"{kept['counts']['compared']} replies held against the truth one by one" in again.stdout
    assert again.stdout.count(": all exact") == kept["counts"]["exact"]
    assert "received - written" in again.stdout


def shifted(line: dict[str, Any], us: int) -> dict[str, Any]:
    return line | {"written": [copy | {"unix_us": copy["unix_us"] + us} for copy in line["written"]]}


@pytest.mark.parametrize("shift", [-50_000, 50_000])
def test_a_shifted_truth_is_found_out(shift: int, measured: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Fifty milliseconds between the clocks are named, and the exit code is 3."""
    folder, truth = the(measured[0], "calibrate-40"), tmp_path / "shifted.jsonl"
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    truth.write_text("".join(json.dumps(shifted(line, shift)) + "\n" for line in lines))
    done = calibrate(folder, "--truth", truth)
    assert done.returncode == 3
    assert "clock offset" in done.stdout


def test_a_missing_a_doubled_and_a_foreign_reply_are_found_out(
    measured: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The truth file lacks one reply, has one twice, and has one that nobody here sent."""
    folder, truth = the(measured[0], "calibrate-40"), tmp_path / "spoilt.jsonl"
    lines = (folder / "truth.jsonl").read_text().splitlines()
    foreign = json.dumps(json.loads(lines[3]) | {"marker": "somebody-else"})
    truth.write_text("\n".join([*lines[1:], lines[2], foreign, ""]))
    done = calibrate(folder, "--truth", truth, "--json")
    assert done.returncode == 3
    wrong = json.loads(done.stdout)["run"]["counts"]["wrong"]
    assert wrong == {"missing": 1, "foreign": 1, "twice": 1, "message_id": 0, "end": 0, "marks": 0}


def test_a_run_of_ones_own_is_judged(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Any scenario, any server that keeps a truth: the counts agree."""
    done = run(
        tmp_path / "reports", "chatty", "--target", str(sandbox.target), "-u", "5", "-r", "5", "-t", "6s", "--log-deliveries", "--quiet"
    )
    judged = calibrate(done.folder, "--truth", sandbox.truth_file, "--json", "--results", tmp_path / "kept")
    found = json.loads(judged.stdout)
    assert found["run"]["counts"]["exact"], found["run"]["counts"]
    assert json.loads((tmp_path / "kept" / "calibration.json").read_text()) == found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_that_it_started(number: signal.Signals, tmp_path: Path) -> None:
    """Exit code 130, one sentence, and neither sandbox nor run is left."""
    command = [sys.executable, "-m", "loadkit", "calibrate", *SMALL, "--results", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: list(tmp_path.glob("*/deliveries.csv")), within=60)
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 3
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.endswith("loadkit calibrate: cut short, nothing was judged\n")
    assert eventually(lambda: not any(child.is_running() for child in started), within=20)


def test_a_kill_leaves_nothing_running_either(tmp_path: Path) -> None:
    """kill -9: its sandbox and its run notice that it is gone; the run drains."""
    command = [sys.executable, "-m", "loadkit", "calibrate", *SMALL[:4], "--seconds", "120", "--results", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: list(tmp_path.glob("*/deliveries.csv")), within=60)
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 3
    process.kill()
    process.wait(timeout=10)
    assert eventually(lambda: not any(child.is_running() for child in started), within=45)
    assert json.loads(next(tmp_path.glob("*/summary.json")).read_text())["run"]["ended_by"] == "signal"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere", "--truth", "nowhere"), "is no run folder"),
        (("nowhere",), "give both"),
        (("--truth", "nowhere"), "give both"),
        (("--sockets", "0"), "at least 1"),
        (("--replies-per-second", "nan"), "no load"),
        (("--replies-per-second", "0.1"), "ten replies"),
        (("--error-p99", "soon"), "'soon' is not a duration"),
        (("--results", "/proc/nowhere"), "cannot be written"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    """Exit code 2, one line on stderr, nothing started."""
    done = calibrate(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
