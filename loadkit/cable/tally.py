"""Frames and bytes by event name: everything that was received, whatever it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loadkit.cable import frames

__all__ = ["UNREADABLE", "Tally", "name_of"]

UNREADABLE: Final = "?"
_MAX_NAMES: Final = 256
_MAX_LENGTH: Final = 128
_TYPES: Final[Mapping[type, str]] = {
    frames.Welcome: "welcome",
    frames.Ping: "ping",
    frames.Confirm: "confirm_subscription",
    frames.Reject: "reject_subscription",
    frames.Disconnect: "disconnect",
}


class Tally:
    """`counts` maps a name to its frames and their payload bytes; a hot loop may add to an entry that is there."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}

    def add(self, name: str, size: int) -> None:
        """Count one frame of `size` bytes; a server that invents names cannot fill the memory, they go to `?`."""
        count = self.counts.get(name)
        if count is None:
            fits = len(name) <= _MAX_LENGTH and len(self.counts) < _MAX_NAMES
            count = self.counts.setdefault(name if fits else UNREADABLE, [0, 0])
        count[0] += 1
        count[1] += size

    @property
    def totals(self) -> dict[str, tuple[int, int]]:
        """Return a copy: frames and bytes by name."""
        return {name: (count, size) for name, (count, size) in self.counts.items()}


def name_of(frame: frames.Frame) -> str:
    """Return the name a frame is counted under: its event's, or its type."""
    match frame:
        case frames.Data():
            return frame.event or UNREADABLE
        case frames.Unknown():
            return frame.type
    return _TYPES[type(frame)]
