"""The recorded traffic of a real OneHash Chat 4.2.0, by step."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.replay import GOLDEN, rows

LIMITS = GOLDEN.with_name("onehash-4.2.0-limits.jsonl")
INBOX, MANDATORY = "GcNPLbSX5DLtTrWBWW6j7Anu", "X5pWvmo4n4aKWNkUT52Bzq6h"
_ROWS = (*rows(GOLDEN), *rows(LIMITS))


def exchange(step: str) -> dict[str, Any]:
    """Return the first request and answer of a step."""
    return next(row for row in _ROWS if row["step"] == step and row["kind"] == "http")


def body(step: str) -> bytes:
    """Return the body that a step was answered with."""
    response = exchange(step)["response"]
    return response["raw"].encode() if response["body"] is None else json.dumps(response["body"]).encode()


def hmac_key(inbox: str) -> str:
    """Return the key of an inbox, which only an administrator is shown."""
    payload = exchange("agent.inboxes.admin")["response"]["body"]["payload"]
    return next(one["hmac_token"] for one in payload if one["inbox_identifier"] == inbox)


def broadcasts(socket: str, event: str | None = None) -> list[bytes]:
    """Return the broadcasts that a socket received, as texts of their own."""
    found = [row["frame"] for row in _ROWS if row["kind"] == "frame" and row["socket"] == socket and "type" not in row["frame"]]
    return [json.dumps(frame).encode() for frame in found if event in (None, frame["message"]["event"])]
