"""A finished run in a dozen lines of plain text, for a terminal and for the log of a CI job."""

from __future__ import annotations

from typing import Any

from loadkit import units
from loadkit.measure.metrics import ENDS
from loadkit.report import arrivals, sentences, stages, tables
from loadkit.report.advice import advice
from loadkit.results.reader import Run

__all__ = ["text"]

_MOST_DOUBTS = 4


def text(run: Run, summary: dict[str, Any]) -> str:
    """Return the summary as lines of text; the first alone says verdict, validity and why."""
    facts, replies, arrived, where = summary["run"], summary["replies"], arrivals.sums(summary), stages.text(summary)
    state = f"{summary['verdict']} ({summary['validity']['state']}), exit code {summary['exit_code']}"
    ends = " + ".join(f"{units.count_text(replies[end])} {end.replace('_', ' ')}" for end in ENDS[1:])
    attempted, accepted, refused = (units.count_text(replies[name]) for name in ("attempted", "accepted", "refused"))
    lines = [
        f"{state}: {sentences.verdict_sentence(run, summary)}",
        f"{facts['scenario']} on {facts['target'] or '–'}: {sentences.scale(run, summary)}, {units.seconds_text(facts['seconds'])}",
        *(f"doubt: {doubt}" for doubt in sentences.doubts(summary, _MOST_DOUBTS)),
        "",
        *_columns(tables.thresholds(summary)),
        "",
        *_columns(head := tables.headline(summary), heads=True),
        *([f"  {head.note}"] if head.note else []),
        "",
        f"{attempted} replies attempted = {accepted} accepted + {refused} refused",
        f"{accepted} accepted = {ends}",
        *([copies] if (copies := sentences.copies(summary)) else []),
        *([arrivals.text(arrived)] if arrived else []),
        *([where] if where else []),
        "",
        *(f"- {hint.text}" for hint in advice(run, summary)),
        "",
    ]
    return "\n".join(line for n, line in enumerate(lines) if line or (n and lines[n - 1]))


def _columns(table: tables.Table, *, heads: bool = False) -> list[str]:
    rows = [table.heads, *table.rows] if heads else table.rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (
        [cell.rjust(width) if align == "r" else cell.ljust(width) for cell, width, align in zip(row, widths, table.align, strict=True)]
        for row in rows
    )
    return [("  " + "   ".join(cells)).rstrip() for cells in padded]
