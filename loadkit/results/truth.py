"""Reads a truth file: what a server says that it did to each reply, one JSON line a reply, the sandbox's or anybody's.

Only `marker` and `written` must be there; other keys are used where they are, and unknown ones are ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from loadkit.errors import ResultsError

__all__ = ["Told", "Written", "read_truth"]


class Moment(msgspec.Struct, frozen=True):
    """A moment in Unix microseconds."""

    unix_us: int


class Written(Moment, frozen=True):
    """A frame about to leave: `to` is the source_id of the session whose socket took it; without one, the customer who asked."""

    to: str | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a server did to one reply.

    `marker` is the reply's echo_id as it came (or its source_id: they are the same); `written` has an entry for each frame that left, none
    where none did. Without the key `status` the reply counts as accepted; without the key `fault` nothing is known of faults,
    and without `saved` nothing of where the time went.
    """

    marker: Any
    written: list[Written] | Written | None
    message_id: int | None = None
    status: int | msgspec.UnsetType | None = msgspec.UNSET
    fault: str | msgspec.UnsetType | None = msgspec.UNSET
    requested: Moment | None = None
    saved: Moment | None = None

    @property
    def copies(self) -> list[Written]:
        """Every frame that left."""
        return [self.written] if isinstance(self.written, Written) else self.written or []

    @property
    def moment_us(self) -> int | None:
        """The earliest moment that is told of it, None where none is."""
        stamps = [copy.unix_us for copy in self.copies] + ([self.requested.unix_us] if self.requested else [])
        return min(stamps, default=None)


def read_truth(path: Path) -> list[Told]:
    """Return the lines of a truth file in their order; a torn last one is left out. Raises ResultsError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"the truth file {path} cannot be read: {error.strerror}") from None
    decode, told = msgspec.json.Decoder(Told).decode, []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told.append(decode(line))
        except (ValueError, RecursionError) as error:
            if number < len(lines):  # a last line without its end may be one that is still being written
                raise ResultsError(f"{path}, line {number}, tells of no reply: {error}") from None
    if not told:
        raise ResultsError(f"the truth file {path} tells of no reply")
    return told
