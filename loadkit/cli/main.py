"""`loadkit`: finds the command and lets it run. Heavy things are imported by the rooms that a command needs, not here."""

from __future__ import annotations

import argparse
import sys

from loadkit import __version__
from loadkit.cli import calibrate, demo, report, run, sandbox

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["run"]:
        return run.main(given[1:])
    parser = argparse.ArgumentParser(
        prog="loadkit", description="Load and soak testing for OneHash Chat: from an agent's reply to the event on the customer's socket."
    )
    parser.add_argument("--version", action="version", version=f"loadkit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo.add_parser(commands)
    commands.add_parser("run", help="run a scenario against a target: loadkit run SCENARIO --target FILE [options]", add_help=False)
    report.add_parser(commands)
    sandbox.add_parser(commands)
    calibrate.add_parser(commands)
    parsed = parser.parse_args(given)
    return int(parsed.run(parsed))
