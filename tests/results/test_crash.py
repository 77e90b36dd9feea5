"""A run whose process was killed: whatever byte was the last, the folder reads and its replies add up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadkit.measure.metrics import ENDS
from loadkit.measure.recorder import Totals
from loadkit.results import format as fmt
from loadkit.results.reader import Run, read
from loadkit.results.summary import summary_of
from loadkit.results.writer import end_killed
from tests.results.build import intervals, write
from tests.support import eventually


def adds_up(run: Run) -> None:
    totals = run.totals
    assert totals.reply("attempted") == sum(totals.reply(end) for end in ENDS)
    summary = summary_of(run)
    replies = summary["replies"]
    assert replies["attempted"] == replies["accepted"] + replies["refused"]
    assert replies["accepted"] == sum(replies[end] for end in ENDS[1:])


def test_cut_off_at_every_byte(tmp_path: Path) -> None:
    """The other files hold more than the last whole interval; only what it committed is read, and open replies become undetermined."""
    made = intervals(4, close=False)
    whole = tmp_path / "whole"
    whole.mkdir()
    write(whole, made)
    content = (whole / fmt.INTERVALS).read_bytes()
    expected, seen = [Totals()], []
    for count in range(1, len(made) + 1):
        expected.append(Totals())
        for interval in made[:count]:
            expected[-1].add(interval)
        expected[-1].settle()
    (whole / fmt.SUMMARY).unlink()
    for size in range(len(content) + 1):
        (whole / fmt.INTERVALS).write_bytes(content[:size])
        run = read(whole)
        committed = content[:size].count(b"\n")
        reference = expected[min(committed, len(made))]
        assert run.totals.counters == reference.counters
        assert run.totals.histograms == reference.histograms
        assert len(run.events) == sum(len(interval.events) for interval in made[:committed])
        assert (run.end is None) == (committed <= len(made))
        assert run.totals.reply("attempted") == sum(run.totals.reply(end) for end in ENDS)
        seen.append(committed)
    assert set(seen) == set(range(len(made) + 2))


def test_a_crashed_run_is_void_and_adds_up(tmp_path: Path) -> None:
    """Its open replies are undetermined, its verdict void, its end a crash, and its length that of what was written."""
    write(tmp_path, intervals(5, close=False), finish=False)
    run = read(tmp_path)
    adds_up(run)
    assert run.undecided > 0
    summary = summary_of(run)
    assert (summary["verdict"], summary["exit_code"], summary["run"]["ended_by"]) == ("void", 4, "crash")
    assert "crash" in [reason["name"] for reason in summary["validity"]["reasons"]]
    assert run.seconds >= 0


def test_a_run_that_a_second_signal_killed_is_interrupted(tmp_path: Path) -> None:
    """Its parent writes its end, wherever its last line was cut off: 130 whatever was measured, and not for what it lacks."""
    write(tmp_path, intervals(3, close=False), finish=False)
    lines, end = tmp_path / fmt.INTERVALS, fmt.End(ended_by="signal", seconds=2.0, at_once=True)
    content = lines.read_bytes()
    for size in (0, 1, len(content) // 2, len(content) - 1, len(content)):
        lines.write_bytes(content[:size])
        before = read(tmp_path).totals.counters
        end_killed(tmp_path, end)
        run = read(tmp_path)
        assert (run.end, run.totals.counters) == (end, before)
        adds_up(run)
        summary = summary_of(run)
        assert (summary["verdict"], summary["exit_code"], summary["run"]["ended_by"]) == ("interrupted", 130, "signal")
        assert {row["state"] for row in summary["workers"]} <= {"killed"}


def test_a_run_that_died_before_its_first_interval(tmp_path: Path) -> None:
    """There is a header and nothing else: void, with nothing measured."""
    write(tmp_path, [], finish=False)
    for name in (fmt.INTERVALS, fmt.HLOG, fmt.EVENTS, fmt.DELIVERIES):
        (tmp_path / name).unlink()
    run = read(tmp_path)
    assert (run.bins, run.events, run.seconds, run.undecided) == ([], [], 0.0, 0)
    assert summary_of(run)["exit_code"] == 4


@pytest.mark.parametrize("name", [fmt.HLOG, fmt.EVENTS, fmt.DELIVERIES])
def test_uncommitted_lines_of_the_other_files_are_left_out(tmp_path: Path, name: str) -> None:
    """They were written, and the process died before their interval's own line."""
    longer, shorter = tmp_path / "longer", tmp_path / "shorter"
    made = intervals(6, close=False)
    for folder, part in ((longer, made), (shorter, made[:5])):
        folder.mkdir()
        write(folder, part, finish=False)
    before = read(shorter)
    content = (longer / name).read_bytes()
    for size in (len(content), len(content) - 1, (len(content) + (shorter / name).stat().st_size) // 2):
        shutil.copy(longer / name, shorter / name)
        os.truncate(shorter / name, size)
        after = read(shorter)
        assert after.totals.counters == before.totals.counters
        assert after.totals.histograms == before.totals.histograms
        assert after.events == before.events
        adds_up(after)


KILLED = """
import sys
from pathlib import Path
from loadkit.results.writer import Writer
from tests.results.build import header, intervals
writer = Writer(Path(sys.argv[1]), header(), deliveries=True)
for interval in intervals(2000, close=False):
    writer.write(interval)
"""


def test_kill_9_of_a_real_process(tmp_path: Path) -> None:
    """A process that is killed while it writes leaves a folder that reads."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    try:
        lines = tmp_path / fmt.INTERVALS
        eventually(lambda: process.poll() is not None or (lines.exists() and lines.read_bytes().count(b"\n") > 5), within=30)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    run = read(tmp_path)
    assert run.end is None
    assert run.totals.reply("attempted") > 0
    adds_up(run)
