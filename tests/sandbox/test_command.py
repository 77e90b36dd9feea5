"""`loadkit sandbox` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadkit.lifeline import LIFELINE
from tests.sandbox.client import ask

ENTRY = """
import argparse, sys
from loadkit.cli import sandbox
parser = argparse.ArgumentParser(prog="loadkit")
sandbox.add_parser(parser.add_subparsers())
args = parser.parse_args(["sandbox", *sys.argv[1:]])
assert "gevent" not in sys.modules
sys.exit(args.run(args))
"""


def command(*options: str) -> list[str]:
    return [sys.executable, "-c", ENTRY, *options]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to be ended."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_signal_that_another_thread_gets_ends_it_too(started: list[subprocess.Popen[str]]) -> None:
    """The system chooses the thread, and the main one sleeps on, as after SIGCONT."""
    process = subprocess.Popen(command(), stdout=subprocess.PIPE, text=True)
    started.append(process)
    assert process.stdout
    process.stdout.readline()
    other = next(int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir() if int(task.name) != process.pid)
    os.kill(other, signal.SIGTERM)
    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_at_a_signal(started: list[subprocess.Popen[str]], tmp_path: Path, number: signal.Signals) -> None:
    """The first line is JSON, the target file works, a signal ends it with 0 and nothing else was printed."""
    target = tmp_path / "target.toml"
    options = ("--service", "none", "--write-target", str(target), "--truth", str(tmp_path / "t"), "--hmac", "--fault", "drop=1%")
    process = subprocess.Popen(command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started.append(process)
    assert process.stdout
    line = json.loads(process.stdout.readline())
    assert list(line) == ["host", "target", "control", "pid"]
    assert (line["target"], line["pid"]) == (str(target), process.pid)
    written = tomllib.loads(target.read_text())
    assert written["host"] == line["host"]
    assert len(written["hmac_token"]) == 24
    assert ask(line["host"], "GET", "/api").json()["version"] == "4.2.0"
    assert ask(line["control"], "GET", "/faults").json() == {"drop": "1%"}
    process.send_signal(number)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_it_ends_with_whoever_holds_its_lifeline(started: list[subprocess.Popen[str]]) -> None:
    """A loadkit that starts one holds a pipe; when that ends, however its holder ended, so does the sandbox."""
    ours, held = os.pipe()
    environment = {**os.environ, LIFELINE: str(ours)}
    process = subprocess.Popen(command("--service", "none"), stdout=subprocess.PIPE, pass_fds=[ours], env=environment, text=True)
    started.append(process)
    os.close(ours)
    assert process.stdout
    assert ask(json.loads(process.stdout.readline())["host"], "GET", "/api").json()["version"] == "4.2.0"
    assert process.poll() is None
    os.close(held)
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--fault", "drop=lots"),
        ("--fault", "drop"),
        ("--service", "fast"),
        ("--lock", "2"),
        ("--lock", "half"),
        ("--port", "99999"),
        ("--http-threads", "0"),
        ("--dialect", "2.0.0"),
        ("--throttle", "0"),
        ("--fault", "black_hole=maybe"),
        ("--write-target", "/nowhere/at/all.toml"),
        ("--truth", "/nowhere/at/all.jsonl"),
    ],
)
def test_what_cannot_start_is_one_sentence_and_exit_2(options: tuple[str, ...]) -> None:
    """Nothing on stdout, one line on stderr."""
    done = subprocess.run(command(*options), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("loadkit sandbox: ")
    assert done.stderr.count("\n") == 1
