"""Frames and bytes by event name: everything that was received, whatever it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from loadkit.cable import frames

__all__ = ["UNREADABLE", "Count", "Tally", "name_of"]

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


class Count:
    """Frames and their payload bytes under one name."""

    __slots__ = ("frames", "name", "size")

    def __init__(self, name: str) -> None:
        self.name = name
        self.frames = self.size = 0


class Tally:
    """Counts by name. `spelled` finds them by how JSON plainly spells the name; a hot loop may add to a count that is there."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}
        self.spelled: dict[bytes, Count] = {}

    def add(self, name: str, size: int) -> None:
        """Count one frame of `size` bytes; a server that invents names cannot fill the memory, they go to `?`."""
        count = self._counts.get(name) or self._begin(name)
        count.frames += 1
        count.size += size

    def _begin(self, name: str) -> Count:
        if len(name) > _MAX_LENGTH or len(self._counts) >= _MAX_NAMES:
            name = UNREADABLE
        count = self._counts.setdefault(name, Count(name))
        if "\\" not in name:  # such a name is never spelled as it is
            self.spelled[name.encode()] = count
        return count

    @property
    def totals(self) -> dict[str, tuple[int, int]]:
        """Return a copy: frames and bytes by name."""
        return {name: (count.frames, count.size) for name, count in self._counts.items()}


def name_of(frame: frames.Frame) -> str:
    """Return the name a frame is counted under: its event's, or its type."""
    match frame:
        case frames.Data():
            return frame.event or UNREADABLE
        case frames.Unknown():
            return frame.type
    return _TYPES[type(frame)]
