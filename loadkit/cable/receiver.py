"""All cables of a process: their bare sockets in one epoll set, drained in batches from gevent's loop into one reused buffer.

Stamps every frame with the kernel's receive time before looking at it, counts it by its event name, and decodes it only where
it holds the needle or is not a plain broadcast. Main path: kernel -> `_drain` -> `_text` -> the owner's `marked`.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import sys
from collections.abc import Callable
from struct import Struct
from typing import Final

import gevent
from gevent.monkey import get_original
from gevent.ssl import SSLContext

from loadkit.cable import frames
from loadkit.cable.agenda import Agenda
from loadkit.cable.happenings import RemoteError
from loadkit.cable.link import Cut, Link, Marked, Owner
from loadkit.cable.protocol import PRESENCE_EVENT, TRANSITIONS, Input, Machine
from loadkit.cable.readiness import BATCH, IN, OUT, EpollSet, ReadySet, WatcherSet
from loadkit.cable.tally import UNREADABLE, Tally, name_of
from loadkit.cable.websocket import PLAIN_TEXT, Binary, Close, Ping, Splitter, close, pong
from loadkit.cable.websocket import text as text_frame
from loadkit.clock import from_unix_ns, now_us
from loadkit.errors import RemoteProtocolError

__all__ = ["BOUNDED", "EXACT", "USER_SPACE", "Receiver"]

EXACT: Final = "exact"
BOUNDED: Final = "bounded"
USER_SPACE: Final = "user_space"

_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = Struct("@ll")
_ANCILLARY: Final = 64  # bytes; one time stamp with its header takes 32
_BUFFER: Final = 256 * 1024
# A stamp may lie this much outside what is possible before it is taken for the trace of a stepped wall clock (µs): the past
# allows for the time a segment spends between its stamp and its socket, the future for the rounding of the conversion.
_PAST_US: Final = 20_000
_FUTURE_US: Final = 1_000
_TICK_S: Final = 0.2
_PING: Final = b'{"type":"ping"'
# All of a broadcast up to its event's name, where the identifier comes first and the event is the message's first key.
_HEAD: Final = re.compile(
    rb'\s*+\{\s*+"identifier"\s*+:\s*+"(?:[^"\\]|\\.)*+"\s*+,\s*+"message"\s*+:\s*+\{\s*+"event"\s*+:\s*+"', re.DOTALL
)
_PINGABLE: Final = frozenset(state for state, table in TRANSITIONS.items() if Input.PING in table)


class Receiver:
    """Holds sockets, receives from them and drives their machines; one a process and run, made after gevent's hub exists.

    `needle` is the sequence of bytes whose presence makes a broadcast worth handing over. `read_lag` is called after a batch of
    reads with the longest time, in µs, that one of its frames waited between the kernel and us. `portable` leaves epoll and the
    kernel's stamps aside. Must be used by one OS thread only.
    """

    def __init__(self, needle: bytes, *, read_lag: Callable[[int], object] | None = None, portable: bool = False) -> None:
        self._needle = needle
        self._read_lag = read_lag
        self._links: dict[int, Link] = {}
        self._tally = Tally()
        self._buffer = bytearray(_BUFFER)
        self._into = [memoryview(self._buffer)]
        self._floor_us = now_us()
        self._agenda = Agenda()
        self._ticker: gevent.Greenlet | None = None
        self._tls_context: SSLContext | None = None
        loop = gevent.get_hub().loop
        portable = portable or not sys.platform.startswith("linux")
        self.kernel_stamps = not portable
        """Whether plain sockets are stamped by the kernel; the report says so where they are not."""
        self._ready: ReadySet = (
            WatcherSet(loop, self._drain) if portable else EpollSet(loop, get_original("select", "epoll")(), self._drain)
        )

    # The owners' side.

    @property
    def frames(self) -> dict[str, tuple[int, int]]:
        """Frames and payload bytes received so far, by event name (typed frames by their type, `?` the unreadable)."""
        return self._tally.totals

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
        link = Link(sock, owner, machine, marked, tls=tls, unstamped=tls or not self.kernel_stamps)
        self._links[link.fd] = link
        self._floor_us = min(self._floor_us, since_us - _PAST_US)
        self._ready.add(link.fd)
        if tls and sock.pending():  # type: ignore[attr-defined]
            # Decrypted already: the kernel will never call it readable.
            gevent.get_hub().loop.run_callback(self._drain, [(link.fd, IN)], now_us())
        self._agenda.put(link)
        if self._ticker is None:
            self._ticker = gevent.spawn(self._tick_forever)
        return link

    def send(self, link: Link, text: str) -> None:
        """Send a text now or as soon as the kernel takes it; never blocks. A link that breaks is lost, its owner told."""
        self._write(link, text_frame(text))

    def release(self, link: Link) -> None:
        """Close a link that its owner no longer wants; the owner is not told."""
        if link.closed:
            return
        if not link.queued:
            with contextlib.suppress(Cut):
                link.write(close())
        self._forget(link)

    def lose(self, link: Link, reason: str) -> None:
        """Close a link for a reason that its owner is told."""
        if not link.closed:
            self._forget(link)
            link.owner.lost(reason)

    def close(self) -> None:
        """Close every socket without telling the owners, and stop."""
        for link in list(self._links.values()):
            self._forget(link)
        self._ready.close()
        if self._ticker is not None:
            self._ticker.kill(block=False)

    def _forget(self, link: Link) -> None:
        self._links.pop(link.fd, None)
        self._ready.remove(link.fd)
        link.close()

    def _write(self, link: Link, data: bytes) -> None:
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

    def _flush(self, link: Link) -> None:
        link.flush()
        if not link.queued:
            self._ready.want_write(link.fd, False)

    # The hot path.

    def _drain(self, ready: list[tuple[int, int]], begun_us: int) -> None:
        """Read each ready socket once. An exception that left here would stop the watcher, and all cables with it, for good."""
        links, buffer, into, unpack, floor = self._links, self._buffer, self._into, _TIMESPEC.unpack, self._floor_us
        offset, worst, emptied = from_unix_ns(0), -1, len(ready) < BATCH
        for fd, event in ready:
            link = links.get(fd)
            if link is None:  # closed by what an earlier one of this batch brought
                continue
            try:
                if event & OUT:
                    self._flush(link)
                if event == OUT or link.closed:
                    continue
                if link.unstamped:
                    self._read_unstamped(link)
                    continue
                try:
                    size, ancillary, _, _ = link.read(into, _ANCILLARY)
                except OSError as error:
                    self._cut(link, error)
                    continue
                received, quality = now_us(), USER_SPACE
                if ancillary:
                    seconds, nanoseconds = unpack(ancillary[0][2])
                    stamp = seconds * 1_000_000 + nanoseconds // 1000 + offset
                    if floor <= stamp <= received + _FUTURE_US:
                        if received - stamp > worst:
                            worst = received - stamp
                        received, quality = stamp, EXACT
                start, length = 2, buffer[1]
                if length > 125:
                    length = buffer[2] << 8 | buffer[3] if length == 126 else 0
                    start = 4 if length > 125 else _BUFFER
                if start + length == size and buffer[0] == PLAIN_TEXT and link.splitter is None:
                    self._text(link, buffer, start, size, received, quality)
                else:
                    emptied = emptied and size < _BUFFER
                    self._feed(link, size, received, quality)
            except Exception as error:  # noqa: BLE001 - see the docstring
                self._broke(link, error)
        if emptied:
            # Whatever is read from now on reached its socket after this batch was polled for.
            self._floor_us = begun_us - _PAST_US
        if worst >= 0:
            self._tell_lag(worst)

    def _text(self, link: Link, buffer: bytearray | bytes, start: int, end: int, received: int, quality: str) -> None:
        """Take one text: a broadcast that begins as this link's did before is not decoded, and kept only for its needle."""
        head = link.head
        if head is not None and buffer.startswith(head, start, end):
            begin = start + len(head)
            stop = buffer.find(b'"', begin, end)
            name = buffer[begin:stop].decode("utf-8", "replace")
            count = self._tally.counts.get(name)
            if count is not None and stop > 0 and "\\" not in name:
                count[0] += 1
                count[1] += end - start
                link.machine.heard_us = received
                if buffer.find(self._needle, stop, end) >= 0:
                    link.marked(link.owner, bytes(buffer[start:end]), name, received, quality)
                elif name == PRESENCE_EVENT and (happenings := link.machine.presence(received)):
                    link.owner.happened(happenings)
                return
        elif buffer.startswith(_PING, start, end) and link.machine.state in _PINGABLE:
            self._tally.add("ping", end - start)
            if happenings := link.machine.ping(received):
                link.owner.happened(happenings)
            return
        self._decode(link, bytes(buffer[start:end]), received, quality)

    # Everything else.

    def _decode(self, link: Link, payload: bytes, received: int, quality: str) -> None:
        """Take one text by what it says, however it is spelled, and learn how this link's broadcasts begin."""
        link.machine.heard_us = received
        try:
            frame = frames.decode(payload)
        except RemoteProtocolError as error:
            self._tally.add(UNREADABLE, len(payload))
            link.owner.happened((RemoteError(error.kind, str(error)),))
            return
        self._tally.add(name_of(frame), len(payload))
        happenings = link.machine.receive(frame, received)
        if isinstance(frame, frames.Data) and frame.identifier == link.machine.identifier:
            head = _HEAD.match(payload)
            link.head = head.group() if head else None
            if self._needle in payload:
                link.marked(link.owner, payload, frame.event, received, quality)
        if happenings:
            link.owner.happened(happenings)
            self._agenda.put(link)

    def _feed(self, link: Link, size: int, received: int, quality: str) -> None:
        """Take a read that is not just one plain text. Of several frames in a read, the stamp is right for the last only."""
        if not size:
            self.lose(link, "eof")
            return
        splitter = link.splitter or Splitter()
        items = splitter.feed(self._buffer, size)
        link.splitter = None if splitter.clean else splitter
        earlier = BOUNDED if quality == EXACT else quality
        last = len(items) - 1 if splitter.clean else len(items)
        for index, item in enumerate(items):
            if link.closed:
                return
            stamped = quality if index == last else earlier
            if isinstance(item, tuple):
                self._text(link, self._buffer, item[0], item[1], received, stamped)
            elif isinstance(item, bytes):
                self._text(link, item, 0, len(item), received, stamped)
            else:
                self._control(link, item, received)

    def _control(self, link: Link, item: Ping | Close | Binary | RemoteProtocolError, received: int) -> None:
        link.machine.heard_us = received
        match item:
            case Ping(payload):
                self._write(link, pong(payload))
            case Binary(size):
                self._tally.add(UNREADABLE, size)
                link.owner.happened((RemoteError("binary_frame", "a binary message, which Action Cable has none of"),))
            case Close(code):
                self._write(link, close(code))
                self.lose(link, f"closed_{code}")
            case RemoteProtocolError():
                link.owner.happened((RemoteError(item.kind, str(item)),))
                self.lose(link, "protocol_error")

    def _read_unstamped(self, link: Link) -> None:
        """Read a socket whose kernel stamps cannot be had; TLS may hold decrypted bytes that no poll will tell of."""
        while not link.closed:
            try:
                size = link.sock.recv_into(self._buffer)
            except OSError as error:
                self._cut(link, error)
                return
            self._feed(link, size, now_us(), USER_SPACE)
            if not link.tls or link.closed or not link.sock.pending():  # type: ignore[attr-defined]
                return

    def _cut(self, link: Link, error: OSError) -> None:
        if not isinstance(error, BlockingIOError | ssl.SSLWantReadError | ssl.SSLWantWriteError):
            self.lose(link, "reset")

    def _broke(self, link: Link, error: Exception) -> None:
        """Drop a link whose handling raised; whatever its owner makes of that must not leave the watcher either."""
        try:
            if not isinstance(error, Cut):
                link.owner.broke(error)
            self.lose(link, error.reason if isinstance(error, Cut) else "failed")
        except Exception:  # noqa: BLE001 - the last line of defence: gevent prints it
            gevent.get_hub().handle_error(self, *sys.exc_info())

    def _tell_lag(self, lag_us: int) -> None:
        if self._read_lag is None:
            return
        try:
            self._read_lag(lag_us)
        except Exception:  # noqa: BLE001 - as above
            gevent.get_hub().handle_error(self, *sys.exc_info())

    def _tick_forever(self) -> None:
        while True:
            gevent.sleep(_TICK_S)
            if self._agenda.is_due(now_us()):
                # A hub that was blocked finds frames that wait: they were heard in time.
                self._ready.sweep()
                for link in self._agenda.take(now_us()):
                    self._tick(link)

    def _tick(self, link: Link) -> None:
        try:
            if happenings := link.machine.tick(now_us()):
                link.owner.happened(happenings)
            self._agenda.put(link)
        except Exception as error:  # noqa: BLE001 - one cable's fault must not stop the others' time
            self._broke(link, error)
