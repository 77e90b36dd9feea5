"""`loadkit calibrate`: the instrument itself on this machine, or a finished run, held against what a server says that it did."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from pathlib import Path
from typing import Any

from loadkit import units
from loadkit.cli import trials
from loadkit.errors import LoadkitError, ResultsError, SettingsError

__all__ = ["add_parser", "run"]

TRUSTED, NOT_TRUSTED, INTERRUPTED = 0, 3, 130
CALIBRATION = "calibration.json"
STEPS = (0.5, 1, 2, 4)
"""The rising loads, in shares of the one asked for."""

REACHED = 0.9
"""A load of which less than this share was reached says nothing about the load asked for."""


def add_parser(subparsers: Any) -> None:
    """Add the command and its options to an argparse object."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "calibrate",
        help="how exact loadkit's stamps and counts are on this machine, and up to which load",
        description="Measure the instrument: a sandbox and a load in processes of their own, about two minutes; or judge a finished "
        "run (made with --log-deliveries) by the truth file of its server. Exits with 0 (trustworthy at the load asked for), "
        "3 (not within bounds) or 2 (bad input).",
    )
    parser.add_argument("folder", metavar="RUN", type=Path, nargs="?", help="judge this run folder instead; needs --truth")
    parser.add_argument("--truth", metavar="FILE", type=Path, help="what the run's server did to each reply, one JSON line a reply")
    parser.add_argument("--replies-per-second", type=float, default=300.0, metavar="N", help="the load asked for (default: 300)")
    parser.add_argument("--sockets", type=int, default=1000, metavar="N", help="customers' sockets (default: 1000)")
    parser.add_argument("--seconds", type=int, default=12, metavar="N", help="seconds of the load asked for; steps half (default: 12)")
    parser.add_argument("--seed", type=int, default=1, help="seed of texts, moments and faults (default: 1)")
    parser.add_argument("--error-p50", default="50us", metavar="TIME", help="bound of the exact stamps' error at p50 (default: 50us)")
    parser.add_argument("--error-p99", default="250us", metavar="TIME", help="the same at p99 (default: 250us)")
    parser.add_argument("--results", type=Path, metavar="DIR", help=f"where {CALIBRATION} and run folders go (default: reports)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout, progress on stderr")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Calibrate and return 0, 3 or 2 (after one sentence on stderr), or 130 where a signal cut it short."""
    try:
        return _judge(args) if args.folder or args.truth else _measure(args)
    except LoadkitError as error:
        print(f"loadkit calibrate: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"loadkit calibrate: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return ResultsError.exit_code
    except KeyboardInterrupt:
        print("loadkit calibrate: cut short, nothing was judged", file=sys.stderr)
        return INTERRUPTED


def _bounds(args: argparse.Namespace) -> Any:
    from loadkit.results.calibration import Bounds

    return Bounds(*(round(units.seconds(text) * 1e6) for text in (args.error_p50, args.error_p99)))


# A finished run.


def _judge(args: argparse.Namespace) -> int:
    from loadkit.report.calibration import run_lines
    from loadkit.results.calibration import calibrate

    if args.folder is None or args.truth is None:
        raise SettingsError("give both, a run folder and its server's truth: loadkit calibrate RUN --truth FILE")
    judged = calibrate(args.folder, args.truth, bounds=_bounds(args))
    code = TRUSTED if judged["trustworthy"] else NOT_TRUSTED
    verdict = f"{judged['run']}: {_word(judged['trustworthy'])} at {judged['replies_per_second']:g} replies/s"
    lines = [verdict, *(f"  {reason['text']}" for reason in judged["reasons"]), "", *run_lines(judged)]
    _conclude(args, {"schema": 1, "trustworthy": judged["trustworthy"], "exit_code": code, "run": judged}, lines, args.results)
    return code


# The instrument.


def _measure(args: argparse.Namespace) -> int:
    from loadkit.report.calibration import ladder_lines, run_lines
    from loadkit.results.writer import make_parent

    _check(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended either way
    results = args.results or Path("reports")
    make_parent(results)
    bounds = _bounds(args)
    steps: list[dict[str, Any]] = []
    for share in STEPS:
        asked = share == 1
        if asked or all(step["trustworthy"] for step in steps):
            steps.append(_trial(args, results, bounds, share=share, seconds=args.seconds if asked else max(3, args.seconds // 2)))
    main = next(step for step in steps if step["asked_per_second"] == args.replies_per_second)
    faulty = _trial(args, results, bounds, share=1, seconds=args.seconds, faulty=True)
    faulty["reasons"] = [reason for reason in faulty["reasons"] if reason["name"].startswith("counts.")]  # only counts are judged there
    faulty["trustworthy"] = not faulty["reasons"]
    reasons = [*main["reasons"], *faulty["reasons"]]
    trusted = [step["replies_per_second"] for step in steps if step["trustworthy"]]
    code = NOT_TRUSTED if reasons else TRUSTED
    result = {
        "schema": 1,
        "trustworthy": not reasons,
        "exit_code": code,
        "reasons": reasons,
        "replies_per_second": args.replies_per_second,
        "sockets": args.sockets,
        "trusted_up_to": max(trusted, default=None),
        "run": main,
        "faults": faulty,
        "steps": steps,
    }
    lines = [
        f"{_word(not reasons)} at {args.replies_per_second:g} replies/s on {args.sockets} sockets",
        *(f"  {reason['text']}" for reason in reasons),
        "",
        *run_lines(main),
        "",
        "with faults on purpose",
        *run_lines(faulty, stamps=False),
        f"  cables cut and opened again: {faulty['counters']['cable.dropped']}",
        "",
        *ladder_lines(steps),
        _reach(steps),
    ]
    _conclude(args, result, lines, results)
    return code


def _check(args: argparse.Namespace) -> None:
    if not (math.isfinite(args.replies_per_second) and args.replies_per_second > 0):
        raise SettingsError(f"--replies-per-second {args.replies_per_second} is no load")
    if args.sockets < 1 or args.seconds < 1:
        raise SettingsError("--sockets and --seconds are at least 1")
    if args.replies_per_second * args.seconds < 10:
        raise SettingsError("ten replies are the least that can be judged: more --seconds or more --replies-per-second")


def _trial(args: argparse.Namespace, results: Path, bounds: Any, *, share: float, seconds: int, faulty: bool = False) -> dict[str, Any]:
    """Run one load against a sandbox and return its judgement, with the load that was asked for."""
    from loadkit.results.calibration import calibrate

    rate = args.replies_per_second * share
    what = " with drops, duplicates, swaps and broken cables" if faulty else ""
    print(f"{rate:g} replies/s on {args.sockets} sockets for {seconds} s{what} …", file=sys.stderr, flush=True)
    folder = trials.conduct(trials.Trial(rate, args.sockets, seconds, args.seed, faulty), results)
    judged = calibrate(folder, folder / trials.TRUTH, bounds=bounds, last_s=seconds)
    if judged["replies_per_second"] < REACHED * rate - 2 * math.sqrt(rate / seconds):  # so many fewer may be chance
        text = f"{judged['replies_per_second']:g} of {rate:g} replies/s were reached: this machine gives no more, sandbox and all"
        judged["reasons"].append({"name": "load", "text": text})
        judged["trustworthy"] = False
    return {"asked_per_second": rate, **judged}


def _reach(steps: list[dict[str, Any]]) -> str:
    trusted = [step["replies_per_second"] for step in steps if step["trustworthy"]]
    if not trusted:
        return "the generator could be trusted at none of these loads"
    beyond = "; the next step was not" if not steps[-1]["trustworthy"] else "; more was not tried"
    return f"the generator was trustworthy up to {max(trusted):g} replies/s{beyond}"


def _word(trustworthy: bool) -> str:
    return "trustworthy" if trustworthy else "NOT trustworthy"


def _conclude(args: argparse.Namespace, result: dict[str, Any], lines: list[str], results: Path | None) -> None:
    """Print the table, or the JSON, and keep the JSON under the results if there are to be any."""
    text = json.dumps(result, indent=2, ensure_ascii=False)
    if results is not None:
        results.mkdir(parents=True, exist_ok=True)
        path = results / CALIBRATION
        path.write_text(text + "\n", encoding="utf-8")
        lines = [*lines, "", f"kept in {path}"]
    print(text if args.json else "\n".join(lines))
