"""`loadkit report RUN`: the page of a finished run, and its other forms. Exits with the run's own code."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadkit.errors import LoadkitError, ResultsError, SettingsError

if TYPE_CHECKING:
    from loadkit.results.reader import Run

__all__ = ["add_parser", "run"]

_STDOUT = "-"


def add_parser(subparsers: Any) -> None:
    """Add the command and its options to an argparse object."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="make the page, and other forms, of a finished run",
        description="Make report.html in a run's folder, or the forms asked for. Exits with the run's own code.",
    )
    parser.add_argument("folder", metavar="RUN", type=Path, help="a run's folder, or a file in it")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON and nothing else")
    parser.add_argument("--markdown", metavar="FILE", help="write a compact page for a review comment (- for stdout)")
    parser.add_argument("--junit", metavar="FILE", help="write thresholds and validity as JUnit XML (- for stdout)")
    parser.add_argument("--csv", metavar="DIR", type=Path, help="write latencies, series, errors and replies as CSV into a folder")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the page there instead of into the run's folder")
    parser.add_argument(
        "--thresholds",
        metavar="FILE",
        type=Path,
        help="judge by the thresholds of a file instead of the run's own; the run's page stays, --html FILE makes one",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make what was asked for and return the run's exit code, or 2 after one sentence on stderr."""
    try:
        _check_stdout(args)
        return _report(args)
    except LoadkitError as error:
        _say(f"loadkit report: {error}")
        return error.exit_code
    except OSError as error:
        _say(f"loadkit report: {error.filename or args.folder}: {error.strerror or error}")
    except ValueError as error:
        _say(f"loadkit report: {args.folder} cannot be read: {' '.join(str(error).split())}")
    return ResultsError.exit_code


def _report(args: argparse.Namespace) -> int:
    from loadkit.results import reader, summary

    lines = _thresholds(args.thresholds)
    finished = reader.read(args.folder)
    _keep_summary(finished)
    judged = summary.summary_of(finished, thresholds=lines)
    written = _write_files(args, finished, judged)
    if args.json:
        _print(json.dumps(judged, indent=2, ensure_ascii=False))
    elif not any(_on_stdout(args)):
        _show(finished, judged, [*map(str, written)] or ["the run's own page is left as it is; --html FILE makes one of this judgement"])
    return int(judged["exit_code"])


def _check_stdout(args: argparse.Namespace) -> None:
    if sum(_on_stdout(args)) > 1:
        raise SettingsError("only one of --json, --markdown - and --junit - can have stdout")


def _on_stdout(args: argparse.Namespace) -> tuple[bool, bool, bool]:
    return args.json, args.markdown == _STDOUT, args.junit == _STDOUT


def _thresholds(path: Path | None) -> list[str] | None:
    """Return the lines of a thresholds file. Raises ThresholdError for one that cannot be judged, OSError for no file."""
    if path is None:
        return None
    from loadkit.chat.routes import ROUTES
    from loadkit.measure import threshold

    lines = threshold.parse_file(path.read_text(encoding="utf-8"))
    threshold.check_names(threshold.parse_all(lines), [route.name for route in ROUTES])
    return lines


def _keep_summary(finished: Run) -> None:
    """Write the summary that a process which died could not; a folder that cannot be written to stays as it is."""
    from loadkit.results import format as fmt
    from loadkit.results.summary import summary_of

    path = finished.folder / fmt.SUMMARY
    if path.exists():
        return
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(json.dumps(summary_of(finished), indent=2, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError as error:
        _say(f"loadkit report: {path} was missing and cannot be written: {error.strerror}")


def _write_files(args: argparse.Namespace, finished: Run, judged: dict[str, Any]) -> list[Path]:
    """Write every form that was asked for and return the paths; where none was, the page, unless other thresholds would replace its own."""
    from loadkit.report import exports
    from loadkit.results import format as fmt

    written: list[Path] = []
    if args.markdown:
        written += _put(args.markdown, exports.markdown(finished, judged))
    if args.junit:
        written += _put(args.junit, exports.junit(judged))
    if args.csv:
        written += exports.write_csv(finished, judged, args.csv)
    page = args.html or (None if written or any(_on_stdout(args)) or args.thresholds else finished.folder / fmt.REPORT)
    if page:
        from loadkit.report.page import render

        written += _put(page, render(finished, judged))
    return written


def _put(where: str | Path, text: str) -> list[Path]:
    """Write a text to a file, its folder made where absent, or to stdout; return the paths written. Raises OSError."""
    if where == _STDOUT:
        _print(text.rstrip("\n"))
        return []
    path = Path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace")
    return [path]


def _show(finished: Run, judged: dict[str, Any], written: list[str]) -> None:
    """Print the summary for a person, in colour on a terminal, and what was written."""
    from loadkit.report.plain import text

    first, _, rest = text(finished, judged).partition("\n")
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        colour = {"passed": "green", "interrupted": "yellow"}.get(judged["verdict"], "red")
        Console(highlight=False).print(Text(first, style=f"bold {colour}"))
    else:
        _print(first)
    _print("\n".join([rest, *written]))


def _print(text: str) -> None:
    """Print to stdout; what its encoding cannot hold is replaced rather than raised."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
