"""`loadkit demo` as a newcomer meets it, and how it can end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import eventually
from tests.system.driver import finish, has_replies, partition_holds


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that would last, in a group of its own as at a terminal, and has replies already."""
    command = [sys.executable, "-m", "loadkit", "demo", "--seconds", "300"]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **options)
    try:
        eventually(lambda: has_replies(tmp_path / "reports"), within=60)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


def test_control_c_drains_against_a_sandbox_that_is_still_there(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """The terminal tells the whole group; the sandbox outlives the run, so no reply that it took is without an end."""
    os.killpg(demo.pid, signal.SIGINT)
    done = finish(tmp_path / "reports", demo, within=60)
    assert done.code == 130, done.err
    assert done.summary["run"]["ended_by"] == "signal"
    assert partition_holds(done.summary)
    assert done.summary["replies"]["undetermined"] == done.summary["replies"]["lost"] == 0
    assert "Traceback" not in done.err


def test_a_kill_leaves_neither_sandbox_nor_run(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """kill -9: both notice that it is gone, and the run still writes its summary."""
    started = psutil.Process(demo.pid).children(recursive=True)
    assert len(started) >= 2
    demo.kill()
    demo.wait(timeout=10)
    assert eventually(lambda: not any(child.is_running() for child in started), within=60)
    assert list((tmp_path / "reports").glob("*/summary.json"))


@pytest.mark.parametrize("seconds", ["0", "-1"])
def test_no_time_is_a_sentence(seconds: str, tmp_path: Path) -> None:
    """Exit code 2, one line, nothing started."""
    command = [sys.executable, "-m", "loadkit", "demo", "--seconds", seconds]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"loadkit demo: --seconds {seconds} is no time for a run\n"
