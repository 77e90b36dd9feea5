"""What `loadkit calibrate` found, as plain text: the error of the stamps, the counts, and how far the generator can be trusted."""

from __future__ import annotations

from typing import Any

from loadkit import units
from loadkit.measure.histogram import QUALITIES
from loadkit.report import sentences

__all__ = ["ladder_lines", "run_lines"]

_PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
_MOST_EXAMPLES = 5


def run_lines(judged: dict[str, Any], *, stamps: bool = True) -> list[str]:
    """Return the lines about one run: its stamps' errors (unless told not to) and its counts."""
    lines = []
    if stamps:
        heads = ["received - written", "replies", *_PERCENTILES]
        rows = [
            [f"  {quality.replace('_', ' ')}", units.count_text(row["count"]), *(_us(row[name]) for name in _PERCENTILES)]
            for quality, row in ((quality, judged["errors"][quality]) for quality in QUALITIES)
        ]
        lines += _columns([heads, *rows])
    return lines + _count_lines(judged) + (_stage_lines(judged) if stamps else [])


def _stage_lines(judged: dict[str, Any]) -> list[str]:
    """Return the lines about where the time went; none where the truth does not tell when replies were saved."""
    rows = [
        [
            f"  {row['name']} {row['percentile']}",
            *(f"{row[name]:,.2f} ms" for name in ("told_ms", "true_ms")),
            units.share_text(row["error"]),
            f"{row['uncertainty_ms']:,.2f} ms",
            "agrees" if row["agrees"] else "does NOT agree",
        ]
        for row in judged["stages"]
    ]
    return ["", *_columns([["where the time went", "told", "true", "error", "uncertain by", ""], *rows])] if rows else []


def _count_lines(judged: dict[str, Any]) -> list[str]:
    counts, replies = judged["counts"], judged["replies"]
    done = ", ".join(f"{n} {name}" for name, n in sorted(counts["faults"].items()))
    lines = [
        f"counts: {units.count_text(counts['compared'])} replies held against the truth one by one"
        + (f" (done on purpose: {done})" if done else "")
        + (": all exact" if counts["exact"] else ""),
        "  ends: "
        + ", ".join(f"{replies[end]} {end.replace('_', ' ')}" for end in ("on_time", "late", "recovered", "lost", "refused"))
        + "; marks: "
        + ", ".join(f"{replies[mark]} {mark.replace('_', ' ')}" for mark in ("duplicate", "out_of_order", "misrouted", "unasked")),
    ]
    if counts["set_aside"]:
        lines.append(
            f"  set aside: {sentences.many(counts['set_aside'], 'line', 'lines')} of the truth, of other runs, other times or people"
        )
    return lines + [f"  wrong: {example}" for example in counts["examples"][:_MOST_EXAMPLES]]


def ladder_lines(steps: list[dict[str, Any]]) -> list[str]:
    """Return the table of the rising steps, and under it what was wrong with those that were not trustworthy."""
    rows, doubts = [["replies/s asked", "reached", "measurement", "exact stamps", "p50", "p99", ""]], []
    for step in steps:
        exact, asked = step["errors"]["exact"], f"{step['asked_per_second']:g}"
        word = "trustworthy" if step["trustworthy"] else "NOT trustworthy"
        stamps = (units.count_text(exact["count"]), _us(exact["p50"]), _us(exact["p99"]))
        rows.append([asked, f"{step['replies_per_second']:g}", step["validity"], *stamps, word])
        doubts += [f"  {asked}: {reason['text']}" for reason in step["reasons"]]
    return _columns(rows) + doubts


def _us(value: int | None) -> str:
    return "–" if value is None else f"{value:,} µs"


def _columns(rows: list[list[str]]) -> list[str]:
    """Return the rows with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(cell.rjust(width) if n else cell.ljust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
