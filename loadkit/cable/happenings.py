"""What a cable's machine has to tell: one small value for each thing that can happen on a socket."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Confirmed",
    "Deaf",
    "Disconnected",
    "Happening",
    "Happenings",
    "PingGap",
    "PresenceEcho",
    "Rejected",
    "RemoteError",
    "Say",
    "Stale",
    "Unconfirmed",
    "Unwelcomed",
    "Welcomed",
]


@dataclass(frozen=True, slots=True)
class Say:
    """Send this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server said welcome, `took_us` after the connection was begun."""

    took_us: int


@dataclass(frozen=True, slots=True)
class Unwelcomed:
    """No welcome came in time; the machine is closed."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The subscription stands, since `at_us`, `took_us` after it was asked for."""

    at_us: int
    took_us: int


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """No confirmation came in time; the machine is closed, since the same identifier would be ignored on this socket."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server refused the subscription."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The server said that it is about to close; the machine is closed."""

    reason: str | None
    reconnect: bool


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing at all was heard for six seconds; the machine is closed."""


@dataclass(frozen=True, slots=True)
class PingGap:
    """A ping came, `gap_us` after the one before."""

    gap_us: int


@dataclass(frozen=True, slots=True)
class PresenceEcho:
    """The next `presence.update` after an `update_presence`, `took_us` after it was sent."""

    took_us: int


@dataclass(frozen=True, slots=True)
class Deaf:
    """Open and pinged, yet an `update_presence` stayed unanswered for two periods; told once until an echo returns."""


@dataclass(frozen=True, slots=True)
class RemoteError:
    """The server said something that it may not say now; `text` never holds an identifier."""

    kind: str
    text: str


Happening = (
    Say | Welcomed | Unwelcomed | Confirmed | Unconfirmed | Rejected | Disconnected | Stale | PingGap | PresenceEcho | Deaf | RemoteError
)
Happenings = tuple[Happening, ...]
