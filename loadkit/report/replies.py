"""The tables of single replies, for whoever has to find them in a server's log: lost, refused, marked and slowest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from loadkit import units
from loadkit.report.drawing import ms_text
from loadkit.report.tables import Table, kept_note, plain
from loadkit.results.reader import Run

__all__ = ["lost", "marked", "refusals", "slowest"]

_MOST = 25
_HEADS = ("due (UTC)", "response", "lag", "delivery", "POST", "conversation", "message", "agent", "X-Request-Id")
_ALIGN = "lrrrrrrrl"
_MARKED = ("misrouted", "unasked", "out_of_order", "undetermined")


def slowest(run: Run) -> Table:
    """Return the slowest replies that the run kept, each once."""
    worst = {str(event.get("marker")): event for event in run.events if event.get("response_ms") is not None}
    ordered = sorted(worst.values(), key=lambda event: -event["response_ms"])
    return Table(_HEADS, _ALIGN, [_row(event) for event in ordered[:_MOST]])


def lost(run: Run, summary: dict[str, Any]) -> Table:
    """Return the lost replies; one that was found after all is not among them."""
    kept: dict[str, dict[str, Any]] = {}
    for event in run.events:
        if event.get("kind") == "lost":
            kept[str(event.get("marker"))] = event
        elif event.get("kind") == "found":
            kept.pop(str(event.get("marker")), None)
    rows = [_row(event) for event in kept.values()][:_MOST]
    return Table(_HEADS, _ALIGN, rows, kept_note(len(rows), summary["replies"]["lost"]))


def refusals(run: Run) -> Table:
    """Return the refused replies by reason, the most frequent first, with the request of one of each."""
    begin = "reply.refused."
    counted = {name.removeprefix(begin): n for name, n in run.totals.counters.items() if name.startswith(begin) and n}
    examples = {event.get("reason"): event.get("request_id") for event in run.events if event.get("kind") == "refused"}
    ordered = sorted(counted.items(), key=lambda item: -item[1])
    return Table(
        ("reason", "replies", "X-Request-Id of one"), "lrl", [(r, units.count_text(n), plain(examples.get(r))) for r, n in ordered]
    )


def marked(run: Run) -> Table:
    """Return the replies with a mark that a person should look into, and those whose end is not known."""
    found = [event for kind in _MARKED for event in run.events if event.get("kind") == kind]
    rows: list[tuple[str, ...]] = [(str(event["kind"]).replace("_", " "), *_row(event)) for event in found[:_MOST]]
    return Table(("what", *_HEADS), "l" + _ALIGN, rows, kept_note(len(rows), len(found)))


def _row(event: Mapping[str, Any]) -> tuple[str, ...]:
    times = (ms_text(event.get(name)) for name in ("response_ms", "lag_ms", "delivery_ms", "post_ms"))
    ids = (plain(event.get(name)) for name in ("conversation_id", "message_id", "agent", "request_id"))
    return (_unix_text(event.get("due_at")), *times, *ids)


def _unix_text(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
