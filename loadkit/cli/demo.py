"""`loadkit demo`: a sandbox, a short run against it, and a report to look at."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadkit.cli import run as run_command
from loadkit.cli import sandbox
from loadkit.errors import UsageError

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add the command and its options to an argparse object."""
    parser: argparse.ArgumentParser = subparsers.add_parser("demo", help="a sandbox, a short run against it, and a report to look at")
    parser.add_argument("--seconds", type=int, default=40, help="how long the run lasts (default: 40)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start a sandbox in a child, run the brisk scenario against it, stop it; return 0 where the run passed."""
    if args.seconds < 1:
        print(f"loadkit demo: --seconds {args.seconds} is no time for a run", file=sys.stderr)
        return UsageError.exit_code
    try:
        with tempfile.TemporaryDirectory(prefix="loadkit-demo-") as folder:
            target = str(Path(folder) / "target.toml")
            with sandbox.held("--write-target", target) as first:
                print(f"a sandbox of OneHash Chat runs at {first['host']}; 12 customers talk to 3 agents for {args.seconds} s")
                arguments = ["chatty", "--target", target, "-u", "12", "-r", "6", "-t", f"{args.seconds}s", "--agents", "3"]
                return run_command.main([*arguments, "--label", "demo"])
    except UsageError as error:
        print(f"loadkit demo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # the run has not begun: it would have heard it
        return run_command.INTERRUPTED
