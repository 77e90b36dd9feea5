"""A finished run for other eyes than a browser's: Markdown for a review comment, JUnit for a CI server, CSV for a notebook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from loadkit import units
from loadkit.measure.metrics import ENDS, MARKS
from loadkit.report import arrivals, sentences, tables, workers
from loadkit.report.advice import advice
from loadkit.report.timeline import timeline
from loadkit.results.reader import Run

__all__ = ["csv_frames", "junit", "markdown", "write_csv"]

_TOP_ERRORS = 5
_MOST_DOUBTS = 10
_EXAMPLE_LENGTH = 120
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def markdown(run: Run, summary: dict[str, Any]) -> str:
    """Return a compact page for a review comment: verdict, thresholds, response, ends, hints, workers in trouble and the top errors."""
    facts, state = summary["run"], summary["validity"]["state"]
    target = _code(facts["target"] or "–")
    parts = [
        f"## loadkit: {summary['verdict']} ({state}), exit code {summary['exit_code']}",
        _plain(sentences.verdict_sentence(run, summary)) + " " + sentences.believed(summary),
        f"{_code(facts['scenario'])} against {target}: {sentences.scale(run, summary)}, {units.seconds_text(facts['seconds'])}.",
    ]
    if doubts := sentences.doubts(summary, _MOST_DOUBTS):
        parts.append("\n".join(f"- {_plain(doubt)}" for doubt in doubts))
    if summary["thresholds"]:
        parts.append(_grid(tables.thresholds(summary), code={0}))
    head = tables.headline(summary)
    parts += [_grid(head), *([head.note] if head.note else []), _sums(summary)]
    if copies := sentences.copies(summary):
        parts.append(copies + ".")
    if arrived := arrivals.sums(summary):
        parts.append(_plain(arrivals.text(arrived)) + ".")
    parts.append("\n".join(f"- {_plain(hint.text)}" for hint in advice(run, summary)))
    if workers.had_trouble(summary):
        parts.append(_grid(workers.table(summary), code={0}))
    if summary["errors"]:
        rows = [
            (row["kind"], row["where"] or "–", units.count_text(row["count"]), row["example"][:_EXAMPLE_LENGTH])
            for row in summary["errors"][:_TOP_ERRORS]
        ]
        parts.append(_grid(tables.Table(("error", "where", "count", "example"), "llrl", rows), code={0, 1, 3}))
    return "\n\n".join(parts) + "\n"


def _sums(summary: dict[str, Any]) -> str:
    replies = summary["replies"]
    ends = " + ".join(f"{units.count_text(replies[end])} {end.replace('_', ' ')}" for end in ENDS[1:])
    attempted, accepted, refused = (units.count_text(replies[name]) for name in ("attempted", "accepted", "refused"))
    marks = ", ".join(f"{units.count_text(replies[mark])} {mark.replace('_', ' ')}" for mark in MARKS)
    return f"**{attempted}** replies attempted = {accepted} accepted + {refused} refused; {accepted} accepted = {ends}. Also seen: {marks}."


def _grid(table: tables.Table, code: set[int] | frozenset[int] = frozenset()) -> str:
    """Return a table; columns of `code` hold text from outside and are shown verbatim."""
    lines = [_row(table.heads), _row("--:" if align == "r" else ":--" for align in table.align)]
    lines += [_row(_code(cell) if n in code else _plain(cell) for n, cell in enumerate(row)) for row in table.rows]
    return "\n".join(lines)


def _row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    """Return a text as a code span: nothing in it is markup, breaks a table, or calls a person by `@`."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""


def _plain(text: str) -> str:
    """Return a text with Markdown's and HTML's signs disarmed."""
    escaped = re.sub(r"([\\`*_\[\]|#@])", r"\\\1", " ".join(text.split()))
    return escaped.replace("<", "&lt;")


def junit(summary: dict[str, Any]) -> str:
    """Return JUnit XML: a test case a threshold and one for validity, in a suite named by the scenario.

    A broken threshold is a failure, a void run an error; a suspect run passes and says so. Verdict and exit code are properties.
    """
    suite = TestSuite(_xml(summary["run"]["scenario"]))
    suite.timestamp = _xml(summary["run"]["started"])
    for name in ("verdict", "exit_code"):
        suite.add_property(name, str(summary[name]))
    for row in summary["thresholds"]:
        suite.add_testcase(_threshold_case(row, suite.name))
    suite.add_testcase(_validity_case(summary, suite.name))
    document = JUnitXml("loadkit")
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    suite.time = document.time = summary["run"]["seconds"]
    body = document.tostring()  # type: ignore[no-untyped-call]
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body.decode("utf-8")}\n'


def _threshold_case(row: dict[str, Any], suite: str) -> TestCase:
    case = TestCase(_xml(row["text"]), classname=suite, time=0.0)
    value = sentences.value_text(row["value"], row["unit"])
    if row["passed"]:
        case.system_out = value
    else:
        margin = sentences.margin_text(row)
        case.result = [Failure(_xml(f"measured {value}{f', {margin}' if margin else ''}"), "threshold")]
    return case


def _validity_case(summary: dict[str, Any], suite: str) -> TestCase:
    case, validity = TestCase("validity", classname=suite, time=0.0), summary["validity"]
    reasons = _xml("\n".join(reason["text"] for reason in validity["reasons"]))
    if validity["state"] == "void":
        case.result = [Error(reasons or "the run is void", "void")]
    else:
        case.system_out = f"{validity['state']}: {reasons}" if reasons else validity["state"]
    return case


def _xml(text: str) -> str:
    """Return a text without the signs that XML cannot hold at all."""
    return _NOT_XML.sub("\ufffd", text)


def write_csv(run: Run, summary: dict[str, Any], folder: Path) -> list[Path]:
    """Write latencies, series, errors, replies and workers, each as .csv, into a folder, made where absent; return the paths.

    Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in csv_frames(run, summary).items():
        paths.append(folder / f"{name}.csv")
        frame.to_csv(paths[-1], index=False)
    return paths


def csv_frames(run: Run, summary: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the tables by name: latencies (a row a metric), series (a row a bin), errors, replies (a row an end or a mark), workers."""
    errors = pd.DataFrame(summary["errors"], columns=["kind", "where", "count", "first", "last", "example"])
    latencies = pd.DataFrame([{"metric": name, **row} for name, row in summary["metrics"].items()])
    return {"latencies": latencies, "series": _series(run), "errors": errors, "replies": _replies(summary), "workers": _workers(summary)}


def _workers(summary: dict[str, Any]) -> pd.DataFrame:
    """Return a row a worker; its silences are joined by semicolons."""
    return pd.DataFrame([worker | {"silences": "; ".join(worker["silences"])} for worker in summary["workers"]])


def _replies(summary: dict[str, Any]) -> pd.DataFrame:
    """Return the counts; a share is of the accepted replies, for attempted, accepted and refused of the attempted ones."""
    replies, rows = summary["replies"], []
    kinds = {"attempted": "sum", "accepted": "sum"} | dict.fromkeys(ENDS, "end") | dict.fromkeys(MARKS, "mark")
    for name, kind in kinds.items():
        whole = replies["attempted" if name in ("attempted", "accepted", "refused") else "accepted"]
        rows.append({"name": name, "kind": kind, "count": replies[name], "share": replies[name] / whole if whole else None})
    return pd.DataFrame(rows)


def _series(run: Run) -> pd.DataFrame:
    """Return every latency's count and percentiles (ms), every counter and every gauge, a row a bin; nothing where there is no data."""
    time, totals = timeline(run), run.totals
    starts = [n * time.width_s for n in range(len(time.spans))]
    columns: dict[str, list[Any]] = {"start_s": starts, "end_s": [start + time.width_s for start in starts]}
    for name in sorted(totals.histograms):
        columns[f"{name}.count"] = time.values(name)
        for percent in (50, 95, 99):
            columns[f"{name}.p{percent}_ms"] = time.percentile(name, percent)
    named = {name for span in time.spans if span is not None for name in span.counters}
    columns |= {name: time.counter(name) for name in sorted(named)}
    columns |= {f"{name} (gauge)" if name in columns else name: time.gauge(name) for name in sorted(totals.gauges)}
    frame = pd.DataFrame(columns)
    counts = [name for name in columns if name.endswith(".count") or name in named]
    return frame.astype(dict.fromkeys(counts, "Int64"))
