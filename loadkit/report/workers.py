"""The table of the processes that made the load: what each contributed, how it fared, and what became of it."""

from __future__ import annotations

from typing import Any

from loadkit import units
from loadkit.report.drawing import ms_text
from loadkit.report.sentences import many
from loadkit.report.tables import Table

__all__ = ["had_trouble", "table"]


def table(summary: dict[str, Any]) -> Table:
    """Return a row a worker; no rows where a single one came to its end and there is nothing to tell apart."""
    found = summary["workers"]
    shown = found if len(found) > 1 or had_trouble(summary) else []
    heads = ("worker", "state", "replies", "undetermined", "loop lag p99", "max", "CPU peak", "sockets peak", "customers peak")
    return Table(heads, "llrrrrrrr", [_row(worker) for worker in shown])


def had_trouble(summary: dict[str, Any]) -> bool:
    """Return whether a worker was lost, left, was silent for a while, or did not hand in all its intervals."""
    return any(worker["state"] != "finished" or worker["missed_intervals"] or worker["silences"] for worker in summary["workers"])


def _row(worker: dict[str, Any]) -> tuple[str, ...]:
    counts = (worker[name] for name in ("replies", "undetermined"))
    lags = (worker[name] for name in ("lag_p99_ms", "lag_max_ms"))
    peaks = (worker[name] for name in ("cable_open_max", "customers_max"))
    name = f"{worker['worker']} {worker['name']}".rstrip()
    cpu = units.share_text(worker["cpu_max"])
    return (name, _state(worker), *map(units.count_text, counts), *map(ms_text, lags), cpu, *map(units.count_text, peaks))


def _state(worker: dict[str, Any]) -> str:
    """Return what became of a worker, with since when and why where it did not simply finish."""
    text = worker["state"]
    if text != "finished":
        text += f" since {worker['since']}" if worker["since"] else ""
        text += f": {worker['reason']}" if worker["reason"] else ""
    silences = (f"silent {silence}" for silence in worker["silences"])
    missed = worker["missed_intervals"]
    never_came = f"{many(missed, 'interval', 'intervals')} never came" if missed else ""
    whole = "; ".join(part for part in (text, *silences, never_came) if part)
    return f"✗ {whole}" if worker["state"] == "lost" else whole
