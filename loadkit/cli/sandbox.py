"""`loadkit sandbox`: the embedded stand-in of OneHash Chat until SIGTERM or SIGINT; and one held by another command for a while."""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from loadkit import lifeline
from loadkit.errors import UsageError

__all__ = ["add_parser", "end", "held", "run"]

ENDS_WITHIN_S = 10
LOOKS_UP_EVERY = 0.5


def add_parser(subparsers: Any) -> None:
    """Add the command and its options to an argparse object."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "sandbox", help="run an embedded stand-in of OneHash Chat until SIGTERM or SIGINT"
    )
    parser.add_argument("--port", type=int, default=0, help="port of the imitated server (default: any free one)")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control API (default: any free one)")
    parser.add_argument("--write-target", metavar="FILE", help="write a target file that names this server")
    parser.add_argument("--truth", metavar="FILE", help="append what was done to each reply, one JSON line a reply")
    parser.add_argument("--seed", type=int, default=0, help="seed of tokens, times and faults (default: 0)")
    parser.add_argument("--http-threads", type=int, default=5, help="HTTP threads in front (default: 5)")
    parser.add_argument("--jobs", type=int, default=10, help="job workers behind (default: 10)")
    parser.add_argument(
        "--service",
        metavar="DIST",
        default="real",
        help="time of a POST: real (default), none, constant:20ms, exponential:20ms, lognormal:20ms,80ms",
    )
    parser.add_argument(
        "--lock",
        metavar="SHARE",
        help="share of a POST's time that holds the one interpreter lock (default: 50/52, as the real server); "
        "with --lock 0 --service exponential:20ms POSTs meet an M/M/c, c being --http-threads",
    )
    parser.add_argument(
        "--fault",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="of replies: drop, duplicate, swap, delay, misroute, 429, 5xx, disconnect, dribble, black_hole, like drop=1%% or =20of2000; "
        "of connections: slow_accept, slow_reader; of subscriptions: never_confirm; of everything: stall=20s@30s, deaf=on, black_hole=on",
    )
    parser.add_argument("--agents", type=int, default=3, help="agents besides the administrator (default: 3)")
    parser.add_argument("--hmac", action="store_true", help="let the target file name the inbox that demands an HMAC")
    parser.add_argument("--dialect", metavar="RELEASE", default="4.2.0", help="speak as release 4.2.0 (default) or 3.0.0 does")
    parser.add_argument(
        "--throttle",
        type=int,
        metavar="N",
        help="requests a minute from one address but loopback's, and 100 of them searches for contacts (default: no limit)",
    )
    parser.add_argument(
        "--recording-layout",
        action="store_true",
        help="prepare the account as the recorded one was, and name its users and inboxes in the first line, secrets included",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the sandbox until a signal; 2 where it cannot start."""
    stop: SimpleQueue[None] = SimpleQueue()  # may be told from a signal's handler, whatever that interrupts
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.put(None))
    _raise_file_limit()
    _hold_lifeline(stop)
    try:
        sandbox = _start(args)
    except (UsageError, OSError, OverflowError) as error:
        print(f"loadkit sandbox: {error}", file=sys.stderr)
        return 2
    with sandbox:
        line = {"host": sandbox.url, "target": args.write_target, "control": sandbox.control, "pid": os.getpid()}
        if args.recording_layout:
            line |= sandbox.described()
        print(json.dumps(line), flush=True)
        _wait(stop)
    return 0


def _wait(stop: SimpleQueue[None]) -> None:
    """Return when told to stop. The system may give a signal to another thread, and Python heeds it here alone: so look up at times."""
    while True:
        try:
            return stop.get(timeout=LOOKS_UP_EVERY)
        except Empty:
            continue


@contextmanager
def held(*options: str) -> Iterator[dict[str, Any]]:
    """Hold a sandbox in a process of its own; yield its first line. It ends with us, however we end. Raises UsageError without one."""
    with lifeline.held() as line:
        process = subprocess.Popen(
            [sys.executable, "-m", "loadkit", "sandbox", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=[line],
            env={**os.environ, lifeline.LIFELINE: str(line)},
            start_new_session=True,  # a Ctrl-C is for us: what we started is ended in order
        )
        try:
            first = process.stdout.readline() if process.stdout else b""
            if not first:
                raise UsageError("the sandbox did not start")
            yield json.loads(first)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that is still there: asked twice, as a run that is to end at once wants it, then killed."""
    for ask in (process.terminate, process.terminate, process.kill):
        if process.poll() is not None:
            break
        ask()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            continue
    if process.stdout:
        process.stdout.close()
    if process.stderr:
        process.stderr.close()


def _start(args: argparse.Namespace) -> Any:
    from loadkit.sandbox import Sandbox  # only now: it loads gevent

    sandbox = Sandbox(
        port=args.port,
        control_port=args.control_port,
        seed=args.seed,
        http_threads=args.http_threads,
        jobs=args.jobs,
        service=args.service,
        **({} if args.lock is None else {"lock": args.lock}),
        faults=args.fault,
        truth=args.truth,
        agents=args.agents,
        hmac_mandatory=args.hmac,
        release=args.dialect,
        throttle=args.throttle,
        recording_layout=args.recording_layout,
    ).start()
    if args.write_target:
        try:
            sandbox.write_target(Path(args.write_target))
        except OSError:
            sandbox.stop()
            raise
    return sandbox


def _hold_lifeline(stop: SimpleQueue[None]) -> None:
    """End with the loadkit that started us and holds a lifeline; a person at a shell holds none."""
    descriptor = lifeline.lifeline()
    if descriptor is None:
        return

    def wait() -> None:
        while not (select.select([descriptor], [], [])[0] and lifeline.is_cut(descriptor)):
            pass
        stop.put(None)

    threading.Thread(target=wait, name="loadkit-lifeline", daemon=True).start()


def _raise_file_limit() -> None:
    """Allow as many sockets as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
