"""`python -m tests.conformance.compare TRUTH.jsonl OTHER.jsonl`: is this server's wire behaviour that of the recorded one?

Step by step: status, content type and shape of each answer; per socket the events with their counts, and the shape of each event's
payload. Shapes are keys and JSON types, never values; pings are left out. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from tests.conformance.replay import rows

Row = dict[str, Any]

OPEN = frozenset(("custom_attributes", "additional_attributes", "cache_keys", "users", "contacts", "ui_settings", "content_attributes"))
VARYING = frozenset(
    ("availability_status", "assignee", "assignee_id", "labels")
)  # a real server differs here from one recording to the next
ANY = "anything"


@dataclass
class Comparison:
    """How many things were held against each other, and a sentence for each that differs."""

    checks: int = 0
    found: list[str] = field(default_factory=list)

    def check(self, same: bool, text: str) -> None:
        self.checks += 1
        if not same:
            self.found.append(text)


def shape(value: Any, key: str = "") -> Any:
    """Return the shape of a JSON value: an object's keys with theirs, a list's as one element that stands for all."""
    if key in VARYING:
        return ANY
    if isinstance(value, dict):
        return "open object" if key in OPEN else {name: shape(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [reduce(merged, (shape(each) for each in value))] if value else []
    if isinstance(value, bool):
        return "bool"
    return {int: "number", float: "number", str: "string", type(None): "null"}[type(value)]


def merged(left: Any, right: Any) -> Any:
    """Return the one shape of two values that stand in the same place; a key of either is a key of it."""
    if isinstance(left, dict) and isinstance(right, dict):
        shared = {key: merged(left[key], right[key]) for key in left.keys() & right.keys()}
        return {**left, **right, **shared}
    if isinstance(left, list) and isinstance(right, list):
        return left or right
    return left if left == right else ANY


def differences(truth: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield what two shapes disagree about; what varies agrees with all, an empty list with any."""
    if isinstance(truth, dict) and isinstance(other, dict):
        yield from (f"{path}.{key} is missing" for key in truth.keys() - other.keys())
        yield from (f"{path}.{key} is extra" for key in other.keys() - truth.keys())
        for key in truth.keys() & other.keys():
            yield from differences(truth[key], other[key], f"{path}.{key}")
    elif isinstance(truth, list) and isinstance(other, list):
        if truth and other:
            yield from differences(truth[0], other[0], path + "[]")
    elif ANY not in (truth, other) and truth != other:
        yield f"{path} is {_kind(other)}, not {_kind(truth)}"


def _kind(value: Any) -> str:
    return value if isinstance(value, str) else {dict: "object", list: "array"}[type(value)]


def compare(truth: list[Row], other: list[Row]) -> Comparison:
    """Hold a recording against the true one; steps that only the other has are not looked at."""
    result, theirs = Comparison(), _steps(other)
    for name, done in _steps(truth).items():
        result.check(name in theirs, f"{name}: step missing")
        if name in theirs:
            _answers(result, name, *([row for row in side if row["kind"] == "http"] for side in (done, theirs[name])))
            _sockets(result, name, _heard(done), _heard(theirs[name]))
    return result


def _steps(recording: list[Row]) -> dict[str, list[Row]]:
    steps: dict[str, list[Row]] = {}
    for row in recording:
        steps.setdefault(row["step"], []).append(row)
    return steps


def _answers(result: Comparison, name: str, left: list[Row], right: list[Row]) -> None:
    result.check(len(left) == len(right), f"{name}: {len(right)} requests, not {len(left)}")
    for truth, other in ((x["response"], y["response"]) for x, y in zip(left, right, strict=False)):
        result.check(truth["status"] == other["status"], f"{name}: status {other['status']}, not {truth['status']}")
        kinds = [each["headers"].get("content-type", "").partition(";")[0] for each in (truth, other)]
        result.check(kinds[0] == kinds[1], f"{name}: content type {kinds[1]}, not {kinds[0]}")
        if truth["status"] == other["status"]:
            found = list(differences(shape(truth["body"]), shape(other["body"]), "body"))
            result.check(not found, f"{name}: {'; '.join(found)}")


def _heard(step: list[Row]) -> dict[str, dict[str, list[Row]]]:
    """Return per socket the frames of each event, and what else became of it."""
    heard: dict[str, dict[str, list[Row]]] = {}
    for row in step:
        if row["kind"] in ("frame", "close", "drop") and (event := _event(row)) != "ping":
            heard.setdefault(row["socket"], {}).setdefault(event, []).append(row)
    return heard


def _event(row: Row) -> str:
    if row["kind"] != "frame":
        return f"{row['kind']} {row.get('code')}"
    frame = row["frame"]
    return str(frame.get("type") or frame["message"]["event"])


def _sockets(result: Comparison, name: str, left: dict[str, dict[str, list[Row]]], right: dict[str, dict[str, list[Row]]]) -> None:
    for socket in sorted(left.keys() | right.keys()):
        mine, theirs = left.get(socket, {}), right.get(socket, {})
        counts = [Counter({event: len(each) for event, each in side.items()}) for side in (mine, theirs)]
        result.check(counts[0] == counts[1], f"{name}: {socket} hears {dict(counts[1])}, not {dict(counts[0])}")
        for event in sorted(mine.keys() & theirs.keys()):
            shapes = [reduce(merged, (shape(row.get("frame")) for row in side[event])) for side in (mine, theirs)]
            found = list(differences(shapes[0], shapes[1], event))
            result.check(not found, f"{name}: {socket} {'; '.join(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.compare", description="Hold one recording against another.")
    parser.add_argument("truth", type=Path)
    parser.add_argument("other", type=Path)
    args = parser.parse_args()
    result = compare(rows(args.truth), rows(args.other))
    print(*result.found, sep="\n")
    print(f"{result.checks - len(result.found)} of {result.checks} checks agree")
    sys.exit(1 if result.found else 0)


if __name__ == "__main__":
    main()
