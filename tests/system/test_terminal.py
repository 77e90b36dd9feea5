"""What a person at a terminal sees of a run, and what Ctrl-C does."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.driver import Finished, SandboxProcess, partition_holds

COLUMNS = 80
CTRL_C = b"\x03"
# The command becomes the terminal's foreground, as a shell would make it: from then on a Ctrl-C is its SIGINT.
LEAD = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


class Terminal:
    """`loadkit run` at a terminal of its own; its stdout may go into a file instead."""

    def __init__(self, results: Path, *arguments: str, stdout: Path | None = None) -> None:
        self._results, self._said = results, b""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        command = [sys.executable, "-c", LEAD, "-m", "loadkit", "run", *arguments, "--results", str(results)]
        out = os.open(stdout, os.O_CREAT | os.O_WRONLY) if stdout else os.dup(theirs)
        self.process = subprocess.Popen(command, stdin=theirs, stdout=out, stderr=theirs, start_new_session=True)
        os.close(theirs)
        os.close(out)
        os.set_blocking(self._ours, False)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing more now, or nobody there any more
            while piece := os.read(self._ours, 65536):
                self._said += piece

    @property
    def text(self) -> str:
        """Everything that was shown so far."""
        self._read()
        return self._said.decode()

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._ours, key)

    def finish(self, *, within: float = 30) -> Finished:
        """Wait for the end, reading on."""

        def ended() -> bool:
            self._read()
            return self.process.poll() is not None

        eventually(ended, within=within)
        folders = sorted(self._results.iterdir()) if self._results.is_dir() else []
        return Finished(self.process.returncode, self.text, "", folders[-1] if folders else None)

    def close(self) -> None:
        """End it, however far it is."""
        self.process.kill()
        self.process.wait(timeout=10)
        os.close(self._ours)


@pytest.fixture
def at_terminal(sandbox: SandboxProcess, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts a scenario against the sandbox at a terminal."""
    made: list[Terminal] = []

    def start(scenario: str, *arguments: str, stdout: Path | None = None) -> Terminal:
        made.append(Terminal(tmp_path / "reports", scenario, "--target", str(sandbox.target), *arguments, stdout=stdout))
        return made[-1]

    yield start
    for terminal in made:
        terminal.close()


def test_one_line_moves_until_ctrl_c_which_drains_and_exits_130(sandbox: SandboxProcess, at_terminal: Callable[..., Terminal]) -> None:
    """The line is written over itself; after Ctrl-C it stands, the closing summary follows, and the folder is whole."""
    terminal = at_terminal("conversations", "-u", "10", "-r", "10", "-t", "60s")
    eventually(lambda: len(re.findall(r" running \|[^\r]* [1-9]\d* replies", terminal.text)) >= 3, within=30)
    assert "\n" not in terminal.text
    terminal.press(CTRL_C)
    done = terminal.finish()
    assert done.code == 130
    moving, _, closing = done.out.replace("^C", "").partition("\r\nverdict: ")
    assert "\r\nloadkit run: draining; once more ends it at once\r\n" in moving
    lines = [line for line in re.split(r"\r\x1b\[2K|\r\nloadkit run: .*\r\n", moving) if line]
    assert [line for line in lines if not re.fullmatch(r"[\d. hmins]+ (running|draining) \| \d+ customers \|.*", line)] == []
    assert max(map(len, lines)) < COLUMNS  # a longer one would go on in the next row and leave it behind
    assert closing.startswith("interrupted (exit code 130)")
    assert "Traceback" not in done.out
    summary = done.summary
    assert (summary["verdict"], summary["exit_code"], summary["run"]["ended_by"]) == ("interrupted", 130, "signal")
    assert partition_holds(summary)
    assert summary["replies"]["accepted"] == len(sandbox.truth()) > 0
    assert summary["replies"]["undetermined"] == 0
    assert done.folder is not None
    assert (done.folder / "report.html").is_file()


def test_quiet_says_nothing(at_terminal: Callable[..., Terminal]) -> None:
    """Neither progress nor a summary, not even at a terminal; the exit code and the folder tell."""
    done = at_terminal("chatty", "-u", "2", "-r", "2", "-t", "4s", "--quiet").finish()
    assert (done.code, done.out) == (0, "")
    assert done.summary["replies"]["attempted"] > 0


def test_json_alone_is_on_stdout(at_terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """Stdout is the summary and nothing else, while the terminal shows progress and the closing part."""
    out = tmp_path / "out.json"
    done = at_terminal("chatty", "-u", "2", "-r", "2", "-t", "4s", "--json", stdout=out).finish()
    assert done.code == 0
    assert json.loads(out.read_text()) == done.summary
    assert " running |" in done.out
    assert "\r\nverdict: passed (exit code 0)" in done.out
