"""Where the time went, against a server whose queues and moments are known."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from loadkit import clock
from tests.system.driver import Finished, SandboxProcess, run

pytestmark = pytest.mark.alone
QUEUES = ("--service", "exponential:20ms", "--http-threads", "2", "--lock", "0", "--jobs", "5")
"""POSTs meet an M/M/2 of 100 a second, and what is to be broadcast waits behind it for one of five job workers."""

LOAD = ("steady", "--every", "1", "-u", "42", "-r", "42", "-t", "16s", "--agents", "4", "--agent-connections", "24", "--lost-after", "20s")


def measured(tmp_path: Path, *options: str, ahead_ms: int = 0) -> tuple[Finished, dict[str, Any], dict[str, list[float]]]:
    """Return a run against those queues, its truth, and how long each reply really took, in ms by the machine's one monotonic clock."""
    box = SandboxProcess(tmp_path, *QUEUES, program=("-m", "tests.system.ahead", str(ahead_ms)))
    try:
        done = run(tmp_path / "reports", *LOAD, *options, "--target", str(box.target), "--log-deliveries", "--quiet")
    finally:
        box.stop()
    unix_us = clock.to_unix_us(0)
    true: dict[str, list[float]] = {"before_save": [], "after_save": []}
    truth = box.truth()
    for marker, line in truth.items():
        row = done.deliveries[marker]
        saved_us = line["saved"]["mono_us"]
        true["before_save"].append((saved_us - int(row["sent"]) + unix_us) / 1000)
        true["after_save"].append((int(row["received"]) - unix_us - saved_us) / 1000)
    return done, truth, true


def lines(done: Finished) -> dict[str, dict[str, str]]:
    """Return the lines of stages.csv by marker."""
    assert done.folder is not None
    with (done.folder / "stages.csv").open(newline="") as file:
        return {row["marker"]: row for row in csv.DictReader(file)}


def nearest_rank(values: list[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@pytest.mark.parametrize("ahead_ms", [0, -3_700])
def test_the_stages_of_known_queues_agree_with_the_truth_within_five_percent(ahead_ms: int, tmp_path: Path) -> None:
    """At p50 and p99, also where the server's clock is wrong; a median below 20 ms is no queueing and is held to a millisecond."""
    done, truth, true = measured(tmp_path, ahead_ms=ahead_ms)
    summary = done.summary
    for name, values in true.items():
        told = summary["metrics"][f"reply.{name}"]
        assert told["count"] == len(values) > 300
        for percent in (50, 99):
            assert told[f"p{percent}"] == pytest.approx(nearest_rank(values, percent), rel=0.05, abs=1.0)
    assert nearest_rank(true["before_save"], 50) > 20
    assert nearest_rank(true["after_save"], 99) > 20
    placed = lines(done)
    assert placed.keys() == done.deliveries.keys()
    off = [
        abs(int(row["saved"]) - clock.to_unix_us(truth[marker]["saved"]["mono_us"])) - int(row["uncertainty"])
        for marker, row in placed.items()
    ]
    assert max(off) <= 1_000
    assert all(row["agent_copy"] for row in placed.values())
    assert summary["server_clock"]["offset_ms"] == pytest.approx(ahead_ms, abs=2 * summary["server_clock"]["uncertainty_ms"] + 1)
    assert [row["basis"] for row in summary["stages"]] == ["observed", "inferred", "inferred"]


def test_two_workers_infer_as_one_does(tmp_path: Path) -> None:
    """Each binds the server's clock by its own messages; their histograms are added."""
    done, _, true = measured(tmp_path, "--processes", "2")
    metrics: dict[str, Any] = done.summary["metrics"]
    for name, values in true.items():
        assert metrics[f"reply.{name}"]["count"] == len(values) > 300
        for percent in (50, 99):
            assert metrics[f"reply.{name}"][f"p{percent}"] == pytest.approx(nearest_rank(values, percent), rel=0.05, abs=1.0)
    assert lines(done).keys() == done.deliveries.keys()
    assert metrics["reply.agent_copy"]["count"] == metrics["reply.delivery"]["count"]
    assert metrics["cable.presence_echo"]["count"] > 0
