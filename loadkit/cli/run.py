"""`loadkit run SCENARIO`: the parent of Locust. It starts Locust in a process group of its own, shows progress, and passes signals on.

Every option that is not the parent's own goes through to Locust, where loadkit's options are registered too.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadkit import lifeline
from loadkit.cli import scenarios
from loadkit.cli.progress import Progress
from loadkit.errors import UsageError

__all__ = ["INTERRUPTED", "main", "own_port"]

VOID, INTERRUPTED, UNUSABLE = 4, 130, 2
LOOKS_EVERY = 0.2
"""Seconds between two looks at whether a child that says nothing is still there."""

_TELLING = {"-V", "--version", "-l", "--list", "--show-task-ratio", "--show-task-ratio-json"}
"""Locust's options that tell something, and then there is no run."""
_HELP = "loadkit run SCENARIO [--target FILE] [loadkit's options] [any option of Locust]"
_LOCUST = "import locust.main; from loadkit.swarm.unusable import expect_install; expect_install(locust.events); locust.main.main()"
_SHOW_HELP = (
    "import sys; from locust.argument_parser import get_parser; from locust.util.load_locustfile import load_locustfile; "
    "load_locustfile(sys.argv[1]); p = get_parser(); p.prog = 'loadkit run ' + sys.argv[2]; p.parse_args(['--help'])"
)


def main(arguments: list[str]) -> int:
    """Run a scenario and return the exit code of the contract."""
    parser = argparse.ArgumentParser(prog="loadkit run", usage=_HELP, add_help=False, allow_abbrev=False)
    parser.add_argument("scenario", nargs="?")
    parser.add_argument("--web", action="store_true", help="start Locust's web UI instead of a headless run")
    parser.add_argument("--quiet", action="store_true", help="no progress, no closing summary")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout, progress on stderr")
    parser.add_argument("--junit", metavar="FILE", help="write thresholds and validity as JUnit XML")
    parser.add_argument("--markdown", metavar="FILE", help="write a compact page for a review comment")
    parser.add_argument("-h", "--help", action="store_true", help="show this and Locust's own options")
    ours, passed_on = parser.parse_known_args(arguments)
    try:
        if ours.scenario is None or ours.scenario.startswith("-"):
            if ours.help:
                parser.print_help()
                print("\nshipped scenarios: " + ", ".join(scenarios.shipped()))
                return 0
            raise UsageError(f"give a scenario first: a path, or one of {', '.join(scenarios.shipped())}")
        path = scenarios.find(ours.scenario)
        for form in filter(None, (ours.junit, ours.markdown)):
            _check_writable(Path(form))
    except UsageError as error:
        print(f"loadkit run: {error}", file=sys.stderr)
        return error.exit_code
    if ours.help:
        print(parser.format_help())
        return subprocess.call([sys.executable, "-c", _SHOW_HELP, str(path), ours.scenario])
    given = {option.split("=")[0] for option in passed_on}
    if "--processes" not in given or given & {"--worker", "--master-bind-port", "--master-port"}:
        return _Parent(ours, _locust_command(path, ours, passed_on, given)).run()
    with own_port() as held:
        return _Parent(ours, _locust_command(path, ours, passed_on, given, held.getsockname()[1])).run()


def _locust_command(path: Path, ours: argparse.Namespace, passed_on: list[str], given: set[str], own_port: int | None = None) -> list[str]:
    program = ["-c", _LOCUST] if _TELLING.isdisjoint(passed_on) else ["-m", "locust"]
    port = str(own_port)
    home = [] if own_port is None else ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    command = [sys.executable, *program, "-f", str(path), *home, *passed_on]
    if not ours.web and "--worker" not in given:
        command += ["--headless", "--only-summary"]
    if not ours.web and not given & {"--loglevel", "-L"}:
        command += ["--loglevel", "WARNING"]
    return command


def _check_writable(path: Path) -> None:
    """Raise UsageError, before a run that would have lasted, where its form could not be written at its end."""
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            return
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def own_port() -> socket.socket:
    """Hold a port that nobody else gets, on this machine alone: on the usual one a worker left over from elsewhere would join.

    While this socket, which does not listen, is bound to it, Linux gives it to nobody who asks for any port; who asks for this one, with
    SO_REUSEADDR as ZeroMQ does, listens beside it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


class _Parent:
    """Locust's parent: one child, two pipes (a lifeline down, progress up)."""

    def __init__(self, ours: argparse.Namespace, command: list[str]) -> None:
        self._ours = ours
        self._command = command
        self._asked, self._asked_nobody = 0, False
        self._progress = Progress(quiet=ours.quiet)
        self._folder: Path | None = None
        self._stopped_s = self._last_s = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        progress_read, progress_write = os.pipe()
        os.set_blocking(progress_write, False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)
        with lifeline.held() as line:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                pass_fds=[line, progress_write],
                env={**os.environ, lifeline.LIFELINE: str(line), lifeline.PROGRESS: str(progress_write)},
                start_new_session=True,
            )
            os.close(progress_write)
            if self._asked_nobody:
                self._child.send_signal(signal.SIGTERM)
            self._follow(self._child, progress_read)
            code = self._child.wait()
        os.close(progress_read)
        self._clear_group()
        return self._conclude(code)

    def _ask(self, number: int, _: Any) -> None:
        """Ask the child to end, drained; the second time end it at once."""
        self._asked += 1
        if self._child is None:
            self._asked_nobody = True
            return
        if self._asked == 1:
            self._child.send_signal(signal.SIGTERM)
            self._progress.note("loadkit run: draining; once more ends it at once")
        else:
            self._clear_group()

    def _clear_group(self) -> None:
        try:
            os.killpg(self._child.pid, signal.SIGKILL)  # type: ignore[union-attr]
        except (ProcessLookupError, PermissionError):
            return

    def _follow(self, child: subprocess.Popen[bytes], pipe: int) -> None:
        """Show progress until the child is gone, and ask it to end when a loadkit that started us is.

        The pipe's end alone does not tell that the child is gone: workers that it has forked hold it too.
        """
        above, said = lifeline.lifeline(), b""
        while True:
            ready = select.select([pipe] if above is None else [pipe, above], [], [], LOOKS_EVERY)[0]
            if above in ready and lifeline.is_cut(above):
                above = None
                self._ask(signal.SIGTERM, None)
            elif pipe in ready:
                piece = os.read(pipe, 65536)
                if not piece:
                    break
                *lines, said = (said + piece).split(b"\n")
                for line in lines:
                    self._hear(line)
            elif child.poll() is not None:
                break
        self._progress.close()

    def _hear(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if "folder" in message:
            self._folder = Path(message["folder"])
            self._stopped_s = self._last_s = 0.0
            return
        self._last_s = message["elapsed"]
        if not message["stopping"]:
            self._stopped_s = self._last_s
        if not self._ours.web:
            self._progress.show(message)

    def _conclude(self, code: int) -> int:
        if self._asked > 1:
            if self._folder is not None:
                self._end_killed(self._folder)
                self._progress.note(f"loadkit run: ended at once; what was recorded can be read: loadkit report {self._folder}")
            return INTERRUPTED
        if code < 0 and not (self._asked and code == -signal.SIGTERM):
            self._progress.note(f"loadkit run: Locust was ended by signal {-code} ({signal.strsignal(-code)}), not by loadkit")
        if self._folder is None:
            if code == 0 and not self._ours.web and _TELLING.union(("--worker",)).isdisjoint(self._command):
                print("loadkit run: Locust ended and nothing was measured", file=sys.stderr)
                return VOID
            return 0 if code == 0 else INTERRUPTED if self._asked else UNUSABLE
        return self._report(self._folder, code)

    def _end_killed(self, folder: Path) -> None:
        """Write the run's end, which it could not itself, so that it does not read as one that died by itself."""
        from loadkit.results.format import SUMMARY, End
        from loadkit.results.writer import end_killed

        if (folder / SUMMARY).exists():
            return
        try:
            drain_s = round(self._last_s - self._stopped_s, 3)
            end_killed(folder, End(ended_by="signal", seconds=self._stopped_s, drain_seconds=drain_s, at_once=True))
        except OSError as error:
            self._progress.note(f"loadkit run: how the run ended cannot be written to {folder}: {error.strerror}")

    def _report(self, folder: Path, code: int) -> int:
        """Let a child make the forms asked for, and print the summary; the run's own code stands."""
        command = [sys.executable, "-m", "loadkit", "report", str(folder)]
        for name in ("junit", "markdown"):
            if value := getattr(self._ours, name):
                command += [f"--{name}", value]
        summary = folder / "summary.json"
        if self._ours.junit or self._ours.markdown or not summary.is_file():
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if not summary.is_file():
            return VOID
        content = summary.read_text(encoding="utf-8")
        if self._ours.json:
            print(content, end="")
        if not self._ours.quiet:
            print(Progress.closing(json.loads(content), folder), file=sys.stderr if self._ours.json else sys.stdout)
        return int(json.loads(content)["exit_code"]) if code < 0 or not self._ours.web else code
