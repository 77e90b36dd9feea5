"""The tables of single replies, for whoever has to find them in a server's log: lost, refused, marked and slowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from loadkit import units
from loadkit.report.drawing import ms_text
from loadkit.report.tables import Table, kept_note, plain
from loadkit.results.reader import Run

__all__ = ["lost", "marked", "notes", "refusals", "slowest"]

_MOST = 25
_STAGES = {"response_ms": "response", "lag_ms": "lag", "before_save_ms": "until saved", "after_save_ms": "from then on", "post_ms": "POST"}
_TIMES = {"response_ms": "response", "lag_ms": "lag", "delivery_ms": "delivery", "post_ms": "POST"}
_NO_FRAME = {"lag_ms": "lag", "post_ms": "POST"}
_IDS = {"conversation_id": "conversation", "message_id": "message", "agent": "agent", "request_id": "X-Request-Id"}
_NOTED = ("worker", "note")
_MARKED = ("misrouted", "unasked", "out_of_order", "copy_missing", "undetermined")


def slowest(run: Run) -> Table:
    """Return the slowest replies that the run kept, each once."""
    worst = {str(event.get("marker")): event for event in run.events if event.get("response_ms") is not None}
    ordered = sorted(worst.values(), key=lambda event: -event["response_ms"])
    shown = ordered[:_MOST]
    return _table(shown, _STAGES if any("before_save_ms" in event for event in shown) else _TIMES)


def lost(run: Run, summary: dict[str, Any]) -> Table:
    """Return the lost replies; one that was found after all is not among them."""
    kept: dict[str, dict[str, Any]] = {}
    for event in run.events:
        if event.get("kind") == "lost":
            kept[str(event.get("marker"))] = event
        elif event.get("kind") == "found":
            kept.pop(str(event.get("marker")), None)
    shown = list(kept.values())[:_MOST]
    return _table(shown, _NO_FRAME, kept_note(len(shown), summary["replies"]["lost"]))


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
    shown = found[:_MOST]
    table = _table(shown, _TIMES, kept_note(len(shown), len(found)))
    rows = [(str(event["kind"]).replace("_", " "), *row) for event, row in zip(shown, table.rows, strict=True)]
    return Table(("what", *table.heads), "l" + table.align, rows, table.note)


def notes(run: Run) -> Table:
    """Return what the run noted about its workers and itself, in the order of time; workers are told first where not all can be."""
    found = [event for kind in _NOTED for event in run.events if event.get("kind") == kind]
    shown = sorted(found[:_MOST], key=lambda event: event.get("at_us", 0))
    rows = [(_unix_text(event["at_us"] / 1e6 if "at_us" in event else None), plain(event.get("text"))) for event in shown]
    return Table(("at (UTC)", "note"), "ll", rows, kept_note(len(rows), len(found)))


def _table(events: Sequence[Mapping[str, Any]], times: Mapping[str, str], note: str = "") -> Table:
    """Return a row a reply: when it was due, its times in ms, and what finds it in a log."""
    rows = []
    for event in events:
        numbers = (ms_text(event.get(name)) for name in times)
        rows.append((_unix_text(event.get("due_at")), *numbers, *(plain(event.get(name)) for name in _IDS)))
    heads = ("due (UTC)", *times.values(), *_IDS.values())
    return Table(heads, "l" + "r" * (len(heads) - 2) + "l", rows, note)


def _unix_text(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
