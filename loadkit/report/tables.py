"""The tables of the page: headings and rows of text, ready to be escaped and shown; every number is formatted here, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadkit import units
from loadkit.measure import validity
from loadkit.measure.metrics import find
from loadkit.report.drawing import ms_text
from loadkit.report.sentences import is_void, limit_text, margin_text, untimed, value_text
from loadkit.report.spread import LEGS
from loadkit.results.reader import Run

__all__ = [
    "Table",
    "checks",
    "errors",
    "frames",
    "headline",
    "health",
    "http",
    "kept_note",
    "latencies",
    "legs",
    "plain",
    "reasons",
    "settings",
    "stamps",
    "thresholds",
]

_PERCENTILES = ("p50", "p95", "p99", "p99.9", "max")
_MOST_ERRORS = 60
_EXCUSED = (
    "Of cables that were not open, cable.missing counts those of a generator that was short of descriptors or ports, not the target's."
)


@dataclass(frozen=True, slots=True)
class Table:
    """Headings, an alignment letter (l or r) a column, rows of text, and a note on what is not in them."""

    heads: tuple[str, ...]
    align: str
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def thresholds(summary: dict[str, Any]) -> Table:
    """Return what was promised and what came; the last column is the outcome."""
    rows = []
    for row in summary["thresholds"]:
        outcome = "✓ held" if row["passed"] else "✗ no data" if row["value"] is None else "✗ broken"
        rows.append((row["text"], value_text(row["value"], row["unit"]), margin_text(row), outcome))
    return Table(("threshold", "measured", "against its limit", "outcome"), "lrrl", rows)


def reasons(summary: dict[str, Any]) -> Table:
    """Return what casts doubt on a run, with its limit if it has one; what voids a run without a limit is in its verdict's sentence."""
    found = [reason for reason in summary["validity"]["reasons"] if reason["name"] in validity.LIMITS or not is_void(reason)]
    if not any(reason["name"] in validity.LIMITS for reason in found):
        return Table(("doubt",), "l", [(reason["text"],) for reason in found])
    rows = [(row["text"], *(limit_text(row["name"], row[column]) or "–" for column in ("value", "limit"))) for row in found]
    return Table(("doubt", "seen", "limit"), "lrr", rows)


def headline(summary: dict[str, Any]) -> Table:
    """Return response above delivery, and how many replies neither of them counts."""
    rows = [(name, *_percentiles(summary, f"reply.{name}")) for name in ("response", "delivery")]
    return Table(("", *_PERCENTILES), "lrrrrr", rows, untimed(summary))


def legs(summary: dict[str, Any]) -> Table:
    """Return where the time of a reply went, leg by leg."""
    return _latency_table(summary, LEGS, "leg")


def latencies(summary: dict[str, Any], *, but: Sequence[str]) -> Table:
    """Return every other latency that has values, but those that are told elsewhere."""
    others = [name for name in summary["metrics"] if name not in LEGS and name not in but and not name.startswith("http.")]
    return _latency_table(summary, [name for name in others if summary["metrics"][name]["count"]], "metric")


def _latency_table(summary: dict[str, Any], names: Iterable[str], first: str) -> Table:
    rows = []
    for name in names:
        metric = find(name)
        count = units.count_text(summary["metrics"][name]["count"])
        rows.append((name, metric.text if metric else "", count, *_percentiles(summary, name)))
    return Table((first, "from → to", "count", *_PERCENTILES), "llrrrrrr", rows)


def _percentiles(summary: dict[str, Any], name: str) -> tuple[str, ...]:
    metric = summary["metrics"].get(name, {})
    return tuple(ms_text(metric.get(column)) for column in _PERCENTILES)


def http(summary: dict[str, Any]) -> Table:
    """Return the requests by route: answered ones have a latency, unanswered ones are among the failed."""
    counters = {name: n for name, n in summary["counters"].items() if name.startswith("http.")}
    routes = {name.rpartition(".")[0] for name in counters} | {name for name in summary["metrics"] if name.startswith("http.")}
    rows = []
    for name in sorted(routes):
        answered = summary["metrics"].get(name, {}).get("count", 0)
        counts = (answered, counters.get(f"{name}.unanswered", 0), counters.get(f"{name}.failed", 0))
        rows.append((name.removeprefix("http."), *map(units.count_text, counts), *_percentiles(summary, name)))
    return Table(("route", "answered", "unanswered", "failed", *_PERCENTILES), "lrrrrrrrr", rows)


def errors(summary: dict[str, Any]) -> Table:
    """Return the errors, folded by kind and place, the most frequent first."""
    kept = summary["errors"][:_MOST_ERRORS]
    rows = [
        (row["kind"], row["where"], units.count_text(row["count"]), _iso_text(row["first"]), _iso_text(row["last"]), row["example"])
        for row in kept
    ]
    heads = ("kind", "where", "count", "first (UTC)", "last (UTC)", "example")
    return Table(heads, "llrlll", rows, kept_note(len(kept), len(summary["errors"])))


def frames(summary: dict[str, Any]) -> Table:
    """Return the frames received on all cables, the most first."""
    ordered = sorted(summary["frames"].items(), key=lambda item: -item[1]["count"])
    rows = [(name, units.count_text(row["count"]), units.count_text(row["bytes"])) for name, row in ordered]
    return Table(("event", "frames", "bytes"), "lrr", rows)


def checks(run: Run) -> Table:
    """Return every check of validity with what was seen and its limit, the kept ones too."""
    limits = validity.LIMITS | run.header.limits
    # No value is below zero, so limits of -1 make every check speak.
    seen = validity.examine(run.totals, limits=dict.fromkeys(validity.LIMITS, -1.0)).reasons
    rows = []
    for name, value in ((reason.name, reason.value) for reason in seen if reason.name in limits):
        state = "✗ above" if value > limits[name] else "✓ within"
        rows.append((name, limit_text(name, value), limit_text(name, limits[name]), state))
    return Table(("check", "seen", "limit", ""), "lrrl", rows, _EXCUSED)


def stamps(summary: dict[str, Any]) -> Table:
    """Return how exactly the frames behind each latency were stamped."""
    rows = []
    for name, metric in summary["metrics"].items():
        counts = [metric[quality] for quality in ("exact", "bounded", "user_space")]
        if any(counts):
            rows.append((name, *map(units.count_text, counts)))
    return Table(("metric", "exact", "bounded", "user space"), "lrrr", rows)


def health(summary: dict[str, Any]) -> Table:
    """Return how the generator itself fared: the lag of its loop, how long frames lay unread, its share of a core."""
    rows = []
    for name, text in (("generator.lag", "its loop woke up late by"), ("generator.read_lag", "frames lay unread for")):
        metric = summary["metrics"][name]
        rows.append((text, *(ms_text(metric[column]) for column in ("p50", "p99", "max"))))
    cpu = summary["gauges"].get("generator.cpu")
    rows.append(("it used of one core", "–", "–", units.share_text(cpu["max"] if cpu else None)))
    return Table(("the generator", "p50", "p99", "max"), "lrrr", rows)


def settings(values: Mapping[str, Any]) -> Table:
    """Return a nested mapping as rows of dotted names and plain values."""
    return Table(("name", "value"), "ll", list(_flat(values)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(value)


def plain(value: Any) -> str:
    """Return any value of a header or an event as text."""
    if value is None or value == "":
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "–"
    return str(value)


def kept_note(shown: int, total: int) -> str:
    """Return the note under a table that holds fewer rows than there were."""
    return f"{units.count_text(shown)} of {units.count_text(total)} are shown." if total > shown else ""


def _iso_text(iso: str) -> str:
    return iso.replace("T", " ").removesuffix("Z")
