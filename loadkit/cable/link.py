"""One adopted socket, bare and non-blocking: what the receiver keeps for it, and the writing that needs no greenlet."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from loadkit.cable.happenings import Happenings
from loadkit.cable.protocol import Machine
from loadkit.cable.websocket import Splitter

__all__ = ["MAX_QUEUED", "Cut", "Link", "Marked", "Owner"]

MAX_QUEUED = 64 * 1024
"""Bytes that may wait for a peer that does not read, above what the kernel holds for it."""

Marked = Callable[[Any, bytes, str, int, str], None]
"""Called with the owner, the frame's payload, its event name, its receive stamp in monotonic µs and that stamp's quality."""


class Owner(Protocol):
    """Who holds a link; called from the hub, so nothing here may block."""

    def happened(self, happenings: Happenings) -> None:
        """Take what the machine had to tell."""

    def lost(self, reason: str) -> None:
        """Take note that the link is closed, and why; not called for the owner's own closing."""

    def broke(self, error: Exception) -> None:
        """Take an exception of our own that cost this link; `lost` follows."""


class Cut(Exception):
    """The connection is over; `reason` is short and stable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Link:
    """A socket with its machine. `head` is the beginning that this server's broadcasts were seen to have."""

    __slots__ = (
        "closed",
        "due_us",
        "fd",
        "head",
        "machine",
        "marked",
        "owner",
        "queued",
        "read",
        "sock",
        "splitter",
        "tls",
    )

    def __init__(self, sock: socket.socket, owner: Owner, machine: Machine, marked: Marked, *, tls: bool, unstamped: bool) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.owner = owner
        self.machine = machine
        self.marked = marked
        self.tls = tls
        self.read: Any = None if unstamped else sock.recvmsg
        """Reads with the kernel's stamp, None where that cannot be had."""
        self.splitter: Splitter | None = None
        self.head: bytes | None = None
        self.queued = bytearray()
        self.due_us: int | None = None
        self.closed = False

    def write(self, data: bytes) -> None:
        """Send what the kernel takes now and queue the rest. Raises Cut (`peer_does_not_read`, `reset`)."""
        self.queued += data
        if len(self.queued) == len(data):
            self.flush()
        if len(self.queued) > MAX_QUEUED:
            raise Cut("peer_does_not_read")

    def flush(self) -> None:
        """Send from the head of the queue what the kernel takes now. Raises Cut (`reset`)."""
        try:
            while self.queued:
                # TLS wants a refused write repeated from the same bytes: the head stays, though the queue may have grown.
                sent = self.sock.send(self.queued)
                if not sent:  # how gevent's TLS sockets say "not now"
                    return
                del self.queued[:sent]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError:
            raise Cut("reset") from None

    def close(self) -> None:
        """Close the socket at once, unsent bytes and all; never blocks, never raises, may be repeated."""
        self.closed = True
        self.machine.close()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
