"""What a cable tells its owner, as a protocol to implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from loadkit.cable.connection import Cable

__all__ = ["Watcher"]


class Watcher(Protocol):
    """Who is told about cables. Called from the hub or from the cable's greenlet: nothing here may block. Times are µs."""

    def connected(self, cable: Cable, took_us: int) -> None:
        """Take the time from the beginning of the connection to the welcome."""

    def confirmed(self, cable: Cable, took_us: int, gap_us: int | None) -> None:
        """Take the time from subscribe to confirmation; `gap_us` runs from the noticed drop, None the first time."""

    def dropped(self, cable: Cable, reason: str) -> None:
        """A confirmed cable broke: `eof`, `reset`, `stale`, `closed_1001`, `disconnect_server_restart`, …; never our own closing."""

    def unconfirmed(self, cable: Cable) -> None:
        """A subscription was never confirmed."""

    def deaf(self, cable: Cable) -> None:
        """An open and pinged cable got no presence echo for two periods; told once until one returns."""

    def presence_echo(self, cable: Cable, took_us: int) -> None:
        """Take the time from an `update_presence` to its `presence.update`."""

    def ping_gap(self, cable: Cable, gap_us: int) -> None:
        """Take the time between two pings."""

    def marked(self, cable: Cable, payload: bytes, event: str, received_us: int, quality: str) -> None:
        """Take a broadcast that holds the needle, with its stamp and the stamp's quality."""

    def remote_error(self, cable: Cable, kind: str, text: str) -> None:
        """The server broke the protocol, or an attempt to come back failed, in a way named by `kind`."""

    def failed(self, cable: Cable, error: BaseException) -> None:
        """Something of ours raised; a cable that it cost is told of by `dropped` as well, with the reason `failed`."""
