"""All cables of a process: holds their bare sockets, one epoll set watched by gevent's loop, one ticker, and drives their machines.

What the sockets say is read by `reader.py`; here is who holds them, what is sent, when something is due and how one ends.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Final

import gevent
from gevent.monkey import get_original
from gevent.ssl import SSLContext

from loadkit.cable.agenda import Agenda
from loadkit.cable.link import Cut, Link, Marked, Owner
from loadkit.cable.protocol import Machine
from loadkit.cable.reader import PAST_US, Reader
from loadkit.cable.readiness import EpollSet, ReadySet, WatcherSet
from loadkit.cable.websocket import close, text
from loadkit.clock import now_us
from loadkit.errors import LocalProtocolError

__all__ = ["Receiver"]

_SO_TIMESTAMPNS: Final = 35
_TICK_S: Final = 0.2


class Receiver:
    """Holds sockets, receives from them and drives their machines; one a process and run, made after gevent's hub exists.

    `needle` is the sequence of bytes whose presence makes a broadcast worth handing over. `read_lag` is called after a batch of
    reads with the longest time, in µs, that one of its frames waited between the kernel and us. `portable` leaves epoll and the
    kernel's stamps aside. Must be used by one OS thread only.
    """

    def __init__(self, needle: bytes, *, read_lag: Callable[[int], object] | None = None, portable: bool = False) -> None:
        self._read_lag = read_lag
        self._links: dict[int, Link] = {}
        self._reader = Reader(needle, self._links, self)
        self._agenda = Agenda()
        self._closed = False
        self._ticker: gevent.Greenlet | None = None
        self._tls_context: SSLContext | None = None
        loop = gevent.get_hub().loop
        portable = portable or not sys.platform.startswith("linux")
        self.kernel_stamps = not portable
        """Whether plain sockets are stamped by the kernel; the report says so where they are not."""
        self._ready: ReadySet = (
            WatcherSet(loop, self._reader.drain) if portable else EpollSet(loop, get_original("select", "epoll")(), self._reader.drain)
        )

    # The owners' side.

    @property
    def frames(self) -> dict[str, tuple[int, int]]:
        """Frames and payload bytes received so far, by event name (typed frames by their type, `?` the unreadable)."""
        return self._reader.tally.totals

    @property
    def held(self) -> int:
        """Return how many sockets are held now."""
        return len(self._links)

    def socket_options(self) -> tuple[tuple[int, int, int], ...]:
        """Return what to set on a plain socket before its first read, so that its stamps are the kernel's."""
        return ((socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1),) if self.kernel_stamps else ()

    def tls_context(self) -> SSLContext:
        """Return the context shared by all cables that bring none: the system's authorities, loaded once."""
        if self._tls_context is None:
            self._tls_context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls_context.load_default_certs()
        return self._tls_context

    def adopt(self, sock: socket.socket, owner: Owner, machine: Machine, marked: Marked, *, since_us: int, tls: bool) -> Link:
        """Take over a non-blocking socket whose handshake is done; `since_us` is when it was begun. The first frames may wait in it."""
        if self._closed:
            sock.close()
            raise LocalProtocolError("a receiver that is closed adopts nothing")
        link = Link(sock, owner, machine, marked, tls=tls, unstamped=tls or not self.kernel_stamps)
        self._links[link.fd] = link
        self._reader.floor_us = min(self._reader.floor_us, since_us - PAST_US)
        self._ready.add(link.fd)
        if tls and sock.pending():  # type: ignore[attr-defined]
            # Decrypted already: the kernel will never call it readable.
            gevent.get_hub().loop.run_callback(self._look, link)
        self.changed(link)
        if self._ticker is None:
            self._ticker = gevent.spawn(self._tick_forever)
        return link

    def send(self, link: Link, message: str) -> None:
        """Send a text now or as soon as the kernel takes it; never blocks. A link that breaks is lost, its owner told."""
        self.write(link, text(message))

    def release(self, link: Link) -> None:
        """Close a link that its owner no longer wants; the owner is not told."""
        if link.closed:
            return
        if not link.queued:
            with contextlib.suppress(Cut):
                link.write(close())
        self._forget(link)

    def close(self) -> None:
        """Close every socket without telling the owners, and stop; the cables must be closed first, none can come back."""
        self._closed = True
        for link in list(self._links.values()):
            self._forget(link)
        self._ready.close()
        if self._ticker is not None:
            self._ticker.kill(block=False)

    def _forget(self, link: Link) -> None:
        self._links.pop(link.fd, None)
        self._ready.remove(link.fd)
        link.close()

    # The reader's side; see `reader.Holder`.

    def write(self, link: Link, data: bytes) -> None:
        """Send a frame now or as soon as the kernel takes it; a link that breaks is lost."""
        if link.closed:
            return
        waited = bool(link.queued)
        try:
            link.write(data)
        except Cut as cut:
            self.lose(link, cut.reason)
            return
        if link.queued and not waited:
            self._ready.want_write(link.fd, True)

    def flush(self, link: Link) -> None:
        """Send what waits, now that there is room."""
        try:
            link.flush()
        except Cut as cut:
            self.lose(link, cut.reason)
            return
        if not link.queued:
            self._ready.want_write(link.fd, False)

    def lose(self, link: Link, reason: str) -> None:
        """Close a link for a reason that its owner is told."""
        if not link.closed:
            self._forget(link)
            link.owner.lost(reason)

    def broke(self, link: Link, error: Exception) -> None:
        """Drop a link whose handling raised; whatever its owner makes of that must not leave the watcher either."""
        try:
            link.owner.broke(error)
            self.lose(link, "failed")
        except Exception:  # noqa: BLE001 - the last line of defence: gevent prints it
            gevent.get_hub().handle_error(self, *sys.exc_info())
            if not link.closed:
                self._forget(link)

    def changed(self, link: Link) -> None:
        """Look again at when something is due for a link."""
        self._agenda.put(link)

    def lagged(self, lag_us: int) -> None:
        """Pass on how long frames waited to be read."""
        if self._read_lag is None:
            return
        try:
            self._read_lag(lag_us)
        except Exception:  # noqa: BLE001 - as above, a report must not stop the receiving
            gevent.get_hub().handle_error(self, *sys.exc_info())

    def _look(self, link: Link) -> None:
        try:
            self._reader.read_unstamped(link)
        except Exception as error:  # noqa: BLE001 - as in a drain
            self.broke(link, error)

    # Time.

    def _tick_forever(self) -> None:
        while not self._closed:
            gevent.sleep(_TICK_S)
            if not self._closed and self._agenda.is_due(now_us()):
                # A hub that was blocked finds frames that wait: they were heard in time.
                self._ready.sweep()
                for link in self._agenda.take(now_us()):
                    self._tick(link)

    def _tick(self, link: Link) -> None:
        try:
            if happenings := link.machine.tick(now_us()):
                link.owner.happened(happenings)
            self.changed(link)
        except Exception as error:  # noqa: BLE001 - one cable's fault must not stop the others' time
            self.broke(link, error)
