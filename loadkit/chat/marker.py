"""The correlation stamp that a message carries: put on the wire as `echo_id`, taken off the event that comes back.

It names run, worker, kind and number, so that any process can tell whose message it sees. It holds nothing that JSON or a template
engine would touch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

__all__ = ["QUESTION", "REPLY", "Marker", "needle"]

QUESTION, REPLY = "q", "r"
_TEXT = re.compile(r"lk([0-9a-f]{8})-(\d+)-([qr])(\d+)")


@dataclass(frozen=True, slots=True)
class Marker:
    """A stamp: `run` is eight hex digits, `kind` QUESTION (a customer's message) or REPLY (an agent's)."""

    run: str
    worker: int
    kind: str
    number: int

    def __str__(self) -> str:
        return f"lk{self.run}-{self.worker}-{self.kind}{self.number}"

    @property
    def reply(self) -> Marker:
        """The stamp of the reply to this question."""
        return replace(self, kind=REPLY)

    @classmethod
    def read(cls, text: object) -> Marker | None:
        """Return the marker that an `echo_id` is, None for anything else."""
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        return cls(match[1], int(match[2]), match[3], int(match[4])) if match else None


def needle(run: str) -> bytes:
    """Return the bytes that every marker of a run begins with: a frame without them holds none of ours."""
    return f"lk{run}-".encode()
