"""Reads deliveries.csv: one line an attempted reply, of a run that was made with --log-deliveries."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from loadkit.errors import ResultsError
from loadkit.measure.reply import DELIVERY_COLUMNS
from loadkit.results import format as fmt

__all__ = ["Delivery", "read_deliveries"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the ledger wrote of one reply. Times are Unix microseconds, None where there is none."""

    marker: str
    message_id: int | None
    conversation_id: int
    subscription: str
    due_us: int
    sent_us: int | None
    answered_us: int | None
    received_us: int | None
    end: str
    marks: frozenset[str]
    quality: str


def read_deliveries(folder: Path) -> list[Delivery]:
    """Return the lines of a run folder's deliveries.csv; a torn last one is left out. Raises ResultsError."""
    path = folder / fmt.DELIVERIES
    if not path.is_file():
        raise ResultsError(f"{folder} has no {fmt.DELIVERIES}: make the run with --log-deliveries")
    text = path.read_text(encoding="utf-8", errors="replace")
    reader = csv.DictReader(text[: text.rfind("\n") + 1].splitlines(keepends=True))
    missing = set(DELIVERY_COLUMNS.split(",")) - set(reader.fieldnames or ())
    if missing:
        raise ResultsError(f"{path} lacks the columns {', '.join(sorted(missing))}")
    rows = []
    for row in reader:
        try:
            rows.append(_delivery(row))
        except (TypeError, ValueError, AttributeError) as error:
            raise ResultsError(f"{path}, line {reader.line_num}, is no reply: {error}") from None
    return rows


def _delivery(row: dict[str, str]) -> Delivery:
    return Delivery(
        marker=row["marker"],
        message_id=_number(row["message_id"]),
        conversation_id=int(row["conversation_id"]),
        subscription=row["subscription"],
        due_us=int(row["due"]),
        sent_us=_number(row["sent"]),
        answered_us=_number(row["answered"]),
        received_us=_number(row["received"]),
        end=row["end"],
        marks=frozenset(row["marks"].split("+")) - {""},
        quality=row["quality"],
    )


def _number(text: str) -> int | None:
    return int(text) if text else None
