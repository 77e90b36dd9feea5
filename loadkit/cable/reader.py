"""From sockets that can be read to texts: the kernel's receive stamp of each read, a name for each frame.

A frame is decoded only where it holds the needle or is not a plain broadcast. Main path: `drain` -> `_text` -> the owner's
`marked`. Knows nothing of gevent, of epoll or of time; what it finds wrong it tells the `Holder` of the sockets.
"""

from __future__ import annotations

import re
import ssl
from struct import Struct
from typing import Final, Protocol

from loadkit.cable import frames
from loadkit.cable.happenings import RemoteError
from loadkit.cable.link import Link
from loadkit.cable.protocol import PRESENCE_EVENT, TRANSITIONS, Input
from loadkit.cable.readiness import BATCH, OUT
from loadkit.cable.tally import UNREADABLE, Tally, name_of
from loadkit.cable.websocket import PLAIN_TEXT, Binary, Close, Ping, Splitter, close, pong
from loadkit.clock import from_unix_ns, now_us
from loadkit.errors import RemoteProtocolError

__all__ = ["BOUNDED", "EXACT", "PAST_US", "USER_SPACE", "Holder", "Reader"]

EXACT: Final = "exact"
BOUNDED: Final = "bounded"
USER_SPACE: Final = "user_space"

_TIMESPEC: Final = Struct("@ll")
_ANCILLARY: Final = 64  # bytes; one time stamp with its header takes 32
_MOST: Final = 64 * 1024  # bytes of one read; malloc gives and takes back as many without asking the kernel
# A stamp may lie this much outside what is possible before it is taken for the trace of a stepped wall clock (µs): the past
# allows for the time a segment spends between its stamp and its socket, the future for the rounding of the conversion.
PAST_US: Final = 20_000
_FUTURE_US: Final = 1_000
_PING: Final = b'{"type":"ping"'
# All of a broadcast up to its event's name, where the identifier comes first and the event is the message's first key.
_HEAD: Final = re.compile(
    rb'\s*+\{\s*+"identifier"\s*+:\s*+"(?:[^"\\]|\\.)*+"\s*+,\s*+"message"\s*+:\s*+\{\s*+"event"\s*+:\s*+"', re.DOTALL
)
_PINGABLE: Final = frozenset(state for state, table in TRANSITIONS.items() if Input.PING in table)


class Holder(Protocol):
    """Who holds the sockets; none of this may raise or block."""

    def write(self, link: Link, data: bytes) -> None:
        """Send now or later."""

    def flush(self, link: Link) -> None:
        """Send what waits."""

    def lose(self, link: Link, reason: str) -> None:
        """Close a link and tell its owner why."""

    def broke(self, link: Link, error: Exception) -> None:
        """Close a link whose handling raised."""

    def changed(self, link: Link) -> None:
        """Look again at when something is due: the link's machine had something to tell."""

    def lagged(self, lag_us: int) -> None:
        """Take the longest time that a frame of a batch waited between the kernel and us."""


class Reader:
    """Reads the sockets of `links`, by descriptor, and tells their machines and owners what they say."""

    def __init__(self, needle: bytes, links: dict[int, Link], holder: Holder) -> None:
        self.tally = Tally()
        self.floor_us = now_us()
        """No frame that is still unread can have reached its socket before this, but for the allowance."""
        self._needle = needle
        self._links = links
        self._holder = holder
        self._spelled = self.tally.spelled

    def drain(self, ready: list[tuple[int, int]], begun_us: int) -> None:
        """Read each ready socket once. An exception that left here would stop the watcher, and all cables with it, for good."""
        links, unpack, floor = self._links, _TIMESPEC.unpack, self.floor_us
        offset, worst, emptied = from_unix_ns(0), -1, len(ready) < BATCH
        for fd, event in ready:
            link = links.get(fd)
            if link is None:  # closed by what an earlier one of this batch brought
                continue
            try:
                if event & OUT:
                    self._holder.flush(link)
                    if event == OUT or link.closed:
                        continue
                if link.read is None:
                    self.read_unstamped(link)
                    continue
                try:
                    data, ancillary, _, _ = link.read(_MOST, _ANCILLARY)
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
                start = _start_of_text(data)
                if start and link.splitter is None:
                    self._text(link, data, start, received, quality)
                else:
                    emptied = emptied and len(data) < _MOST
                    self._feed(link, data, received, quality)
            except Exception as error:  # noqa: BLE001 - see the docstring
                self._holder.broke(link, error)
        if emptied:
            # Whatever is read from now on reached its socket after this batch was polled for.
            self.floor_us = begun_us - PAST_US
        if worst >= 0:
            self._holder.lagged(worst)

    def _text(self, link: Link, data: bytes, start: int, received: int, quality: str) -> None:
        """Take one text: a broadcast that begins as this link's did before is not decoded, and kept only for its needle."""
        head = link.head
        if head is not None and data.startswith(head, start):
            begin = start + len(head)
            stop = data.find(b'"', begin)
            count = self._spelled.get(data[begin:stop])
            if count is not None and stop > 0:
                count.frames += 1
                count.size += len(data) - start
                link.machine.heard_us = received
                if data.find(self._needle, stop) >= 0:
                    link.marked(link.owner, data[start:], count.name, received, quality)
                elif count.name == PRESENCE_EVENT and (happenings := link.machine.presence(received)):
                    link.owner.happened(happenings)
                return
        elif data.startswith(_PING, start) and link.machine.state in _PINGABLE:
            self.tally.add("ping", len(data) - start)
            if happenings := link.machine.ping(received):
                link.owner.happened(happenings)
            return
        self._decode(link, data[start:], received, quality)

    # Everything else.

    def _decode(self, link: Link, payload: bytes, received: int, quality: str) -> None:
        """Take one text by what it says, however it is spelled, and learn how this link's broadcasts begin."""
        link.machine.heard_us = received
        try:
            frame = frames.decode(payload)
        except RemoteProtocolError as error:
            self.tally.add(UNREADABLE, len(payload))
            link.owner.happened((RemoteError(error.kind, str(error)),))
            return
        self.tally.add(name_of(frame), len(payload))
        happenings = link.machine.receive(frame, received)
        if isinstance(frame, frames.Data) and frame.identifier == link.machine.identifier:
            head = _HEAD.match(payload)
            link.head = head.group() if head else None
            if self._needle in payload:
                link.marked(link.owner, payload, frame.event, received, quality)
        if happenings:
            link.owner.happened(happenings)
            self._holder.changed(link)

    def _feed(self, link: Link, data: bytes, received: int, quality: str) -> None:
        """Take a read that is not just one plain text. Of several frames in a read, the stamp is right for the last only."""
        if not data:
            self._holder.lose(link, "eof")
            return
        splitter = link.splitter or Splitter()
        items = splitter.feed(data)
        link.splitter = None if splitter.clean else splitter
        earlier = BOUNDED if quality == EXACT else quality
        last = len(items) - 1 if splitter.clean else len(items)
        for index, item in enumerate(items):
            if link.closed:
                return
            if isinstance(item, bytes):
                self._text(link, item, 0, received, quality if index == last else earlier)
            else:
                self._control(link, item, received)

    def _control(self, link: Link, item: Ping | Close | Binary | RemoteProtocolError, received: int) -> None:
        link.machine.heard_us = received
        match item:
            case Ping(payload):
                self._holder.write(link, pong(payload))
            case Binary(size):
                self.tally.add(UNREADABLE, size)
                link.owner.happened((RemoteError("binary_frame", "a binary message, which Action Cable has none of"),))
            case Close(code):
                self._holder.write(link, close(code))
                self._holder.lose(link, f"closed_{code}")
            case RemoteProtocolError():
                link.owner.happened((RemoteError(item.kind, str(item)),))
                self._holder.lose(link, "protocol_error")

    def read_unstamped(self, link: Link) -> None:
        """Read a socket whose kernel stamps cannot be had; TLS may hold decrypted bytes that no poll will tell of."""
        while not link.closed:
            try:
                data = link.sock.recv(_MOST)
            except OSError as error:
                self._cut(link, error)
                return
            self._feed(link, data, now_us(), USER_SPACE)
            if not link.tls or link.closed or not link.sock.pending():  # type: ignore[attr-defined]
                return

    def _cut(self, link: Link, error: OSError) -> None:
        if not isinstance(error, BlockingIOError | ssl.SSLWantReadError | ssl.SSLWantWriteError):
            self._holder.lose(link, "reset")


def _start_of_text(data: bytes) -> int:
    """Return where the payload begins in a read that is one whole plain text frame and nothing more, 0 for any other read."""
    size = len(data)
    if size > 129:
        return 4 if data[1] == 126 and data[0] == PLAIN_TEXT and (data[2] << 8 | data[3]) == size - 4 else 0
    return 2 if 2 < size < 128 and data[1] == size - 2 and data[0] == PLAIN_TEXT else 0
