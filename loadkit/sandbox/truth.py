"""What was really done to every reply: one JSON line an attempt, written when nothing more will happen to it.

`fault` is what was done to it: its fault's name, or `no_socket`, `deaf`, `in_black_hole` where it could reach nobody; null for nothing.
Stamps come in both clocks: Unix microseconds to join with other logs, monotonic microseconds to subtract on the same machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from loadkit import clock

__all__ = ["Attempt", "Truth", "stamp"]


def stamp(mono_us: int | None = None) -> dict[str, int]:
    """Return a moment, by default now, in both clocks."""
    moment = clock.now_us() if mono_us is None else mono_us
    return {"unix_us": clock.to_unix_us(moment), "mono_us": moment}


class Attempt:
    """One agent's attempt at a reply, filled in as it happens; `pending` counts what is still to be done to it."""

    def __init__(self, truth: Truth, requested_us: int, request_id: str, marker: Any) -> None:
        self._truth = truth
        self._pending = 1
        self.fault: str | None = None
        self.written: list[dict[str, Any]] = []
        self._held_since: int | None = None
        self.line: dict[str, Any] = {
            "marker": marker,
            "message_id": None,
            "conversation_id": None,
            "subscription": None,
            "agent": None,
            "request_id": request_id,
            "status": None,
            "fault": None,
            "held_s": None,
            "requested": stamp(requested_us),
            "saved": None,
            "answered": None,
            "written": self.written,
        }

    def expect(self) -> None:
        """Something more will be done to it; `done` says when it was."""
        self._pending += 1

    def done(self) -> None:
        """One thing was done; after the last the line is written."""
        self._pending -= 1
        if self._pending == 0:
            self._truth.write(self)

    def saved(self, message_id: int, created_us: int) -> None:
        """The message exists since `created_us` (Unix)."""
        self.line["message_id"] = message_id
        moment = stamp()
        self.line["saved"] = {"unix_us": created_us, "mono_us": moment["mono_us"] - (moment["unix_us"] - created_us)}

    def answered(self, status: int | None) -> None:
        """The POST is being answered, or with None never will be: one thing is done."""
        self.line["status"] = status
        self.line["answered"] = stamp() if status is not None else None
        self.done()

    def hold(self) -> None:
        """From now on the customer's frame is held back."""
        self._held_since = clock.now_us()

    def wrote(self, source_id: str, left: bool) -> None:
        """The bytes for a socket of this session are about to be handed to the kernel, or never will be: done, either way."""
        if not left:
            self.done()
            return
        moment = stamp()
        if self._held_since is not None and self.line["held_s"] is None:
            self.line["held_s"] = round((moment["mono_us"] - self._held_since) / 1e6, 6)
        self.written.append({"to": source_id, **moment})
        self.done()


class Truth:
    """The attempts of a server: counted by what was done, and appended to a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("ab") if path else None
        self._encode = msgspec.json.Encoder().encode
        self._open: set[Attempt] = set()
        self.replies = 0
        self.by_fault: dict[str, int] = {}

    def attempt(self, requested_us: int, request_id: str, marker: Any) -> Attempt:
        """Begin the line of an attempt."""
        attempt = Attempt(self, requested_us, request_id, marker)
        self._open.add(attempt)
        return attempt

    def write(self, attempt: Attempt) -> None:
        """End the line of an attempt and flush it."""
        if attempt not in self._open:
            return
        self._open.discard(attempt)
        attempt.line["fault"] = attempt.fault
        self.replies += 1
        if attempt.fault:
            self.by_fault[attempt.fault] = self.by_fault.get(attempt.fault, 0) + 1
        if self._file:
            self._file.write(self._encode(attempt.line) + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Write what is still open as it stands, and close the file."""
        for attempt in list(self._open):
            self.write(attempt)
        if self._file:
            self._file.close()
