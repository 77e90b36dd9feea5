"""What must agree between a recorded and a played body: keys at every depth, JSON types, nulls, lengths, and some values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

EQUAL = frozenset(("content", "echo_id", "message_type", "content_type", "status", "private", "type", "sender_type", "error", "errors"))
AVAILABILITY = "availability_status"
OPEN_MAPS = frozenset(("custom_attributes", "users", "contacts"))  # as posted; who is online depends on the pace of the walk


def differences(truth: Any, other: Any, path: str = "", *, posted: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield a sentence for each disagreement; `posted` are the `source_id` values that must come back."""
    if isinstance(truth, dict) and isinstance(other, dict):
        yield from (f"{path}.{key} is missing" for key in truth.keys() - other.keys())
        yield from (f"{path}.{key} is extra" for key in other.keys() - truth.keys())
        for key in truth.keys() & other.keys():
            yield from _member(key, truth[key], other[key], f"{path}.{key}", posted)
    elif isinstance(truth, list) and isinstance(other, list):
        if len(truth) != len(other):
            yield f"{path} has {len(other)} elements, not {len(truth)}"
        for number, (left, right) in enumerate(zip(truth, other, strict=False)):
            yield from differences(left, right, f"{path}[{number}]", posted=posted)
    elif _kind(truth) != _kind(other):
        yield f"{path} is {_kind(other)}, not {_kind(truth)}"


def _member(key: str, truth: Any, other: Any, path: str, posted: frozenset[str]) -> Iterator[str]:
    if key == AVAILABILITY:
        if not (other is None or isinstance(other, str)):
            yield f"{path} is neither null nor a string"
    elif key in OPEN_MAPS:
        if not isinstance(other, dict):
            yield f"{path} is no object"
    elif (key in EQUAL and not isinstance(truth, dict)) or (key == "source_id" and truth in posted):
        if truth != other:
            yield f"{path} is {other!r}, not {truth!r}"
    else:
        yield from differences(truth, other, path, posted=posted)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", type(None): "null", dict: "object", list: "array"}[type(value)]
