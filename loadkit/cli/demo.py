"""`loadkit demo`: a sandbox, a short run against it, and a report to look at."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadkit.cli import run as run_command

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add the command and its options to an argparse object."""
    parser: argparse.ArgumentParser = subparsers.add_parser("demo", help="a sandbox, a short run against it, and a report to look at")
    parser.add_argument("--seconds", type=int, default=40, help="how long the run lasts (default: 40)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start a sandbox in a child, run the brisk scenario against it, stop it; return 0 where the run passed."""
    with tempfile.TemporaryDirectory(prefix="loadkit-demo-") as folder:
        target = Path(folder) / "target.toml"
        sandbox = subprocess.Popen(
            [sys.executable, "-m", "loadkit", "sandbox", "--write-target", str(target)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        try:
            first = sandbox.stdout.readline() if sandbox.stdout else b""
            if not first:
                print("loadkit demo: the sandbox did not start", file=sys.stderr)
                return 2
            print(f"a sandbox of OneHash Chat runs at {json.loads(first)['host']}; 12 customers talk to 3 agents for {args.seconds} s")
            arguments = ["chatty", "--target", str(target), "-u", "12", "-r", "6", "-t", f"{args.seconds}s", "--agents", "3"]
            return run_command.main([*arguments, "--label", "demo"])
        finally:
            sandbox.terminate()
            sandbox.wait(timeout=10)
