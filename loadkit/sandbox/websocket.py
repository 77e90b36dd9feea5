"""gevent-websocket's socket with its faults fenced in: whole prepared frames go through one queue, closes have real codes, frames are
unmasked in one step, rude peers are survived. The handshake is in `face.py`.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from geventwebsocket.exceptions import ProtocolError, WebSocketError
from geventwebsocket.handler import WebSocketHandler
from geventwebsocket.websocket import Header, Stream, WebSocket

__all__ = ["BIGGEST_MESSAGE", "Socket", "text_frame"]

BIGGEST_MESSAGE = 64 * 1024 * 1024
BIGGEST_BACKLOG = 64 * 1024 * 1024
UNMASKED = 1003
TOO_BIG = 1009

PIECES = 20
"""In how many pieces a frame dribbles."""

_Told = Callable[[bool], None] | None
_Queued = tuple[bytes, _Told, float]


def text_frame(payload: bytes) -> bytes:
    """Return the bytes of an unmasked text frame, made once for as many sockets as hear it."""
    return bytes(Header.encode_header(True, WebSocket.OPCODE_TEXT, b"", len(payload), 0)) + payload


class Socket(WebSocket):  # type: ignore[misc]
    """A server's websocket with one writer: `write` never blocks and never interleaves. A `silent` one is a black hole."""

    __slots__ = ("_backlog", "_size", "_tcp", "_waiting", "silent")

    def __init__(self, environ: dict[str, Any], stream: Stream, handler: WebSocketHandler) -> None:
        super().__init__(environ, stream, handler)
        self._tcp: socket.socket = handler.socket
        self._waiting: deque[_Queued] = deque()
        self._backlog = 0
        self._size = 0
        self.silent = False

    def __del__(self) -> None:
        """Leave the connection alone: the library's own version writes a close frame to a file descriptor long reused."""

    def write(self, frame: bytes, told: _Told = None) -> None:
        """Send a prepared frame, now if the kernel takes it, else in its turn.

        `told` is called once: with True right before the bytes leave, with False when they never will.
        """
        if self.closed or self.silent:
            if told:
                told(False)
            return
        if self._waiting:
            self._put(frame, told)
            return
        if told:
            told(True)
        try:
            sent = os.write(self._tcp.fileno(), frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.cut()
            return
        if sent < len(frame):
            self._put(frame[sent:], None)
            gevent.spawn(self._drain)

    def dribble(self, frame: bytes, over_s: float, told: _Told = None) -> None:
        """Send a prepared frame in its turn, a piece at a time over so many seconds; `told` comes right before its last byte."""
        if self.closed or self.silent:
            self.write(frame, told)
            return
        idle = not self._waiting
        self._put(frame, told, over_s)
        if idle:
            gevent.spawn(self._drain)

    def _put(self, frame: bytes, told: _Told, over_s: float = 0.0) -> None:
        self._waiting.append((frame, told, over_s))
        self._backlog += len(frame)
        if self._backlog > BIGGEST_BACKLOG:
            self.cut()

    def _drain(self) -> None:
        """Write what the kernel did not take; the head stays queued while it is being written, so nobody overtakes it."""
        try:
            while self._waiting and not self.closed:
                frame, told, over_s = self._waiting[0]
                rest = self._trickle(frame, over_s) if over_s else frame
                if rest is None:
                    return
                if told:
                    told(True)
                    self._waiting[0] = (frame, None, 0.0)
                self._tcp.sendall(rest)
                if self._waiting:
                    self._waiting.popleft()
                self._backlog -= len(frame)
        except OSError:
            self.cut()

    def _trickle(self, frame: bytes, over_s: float) -> bytes | None:
        """Write all of a frame but its last byte, slowly, and return that; None where the socket ended meanwhile."""
        body, size = frame[:-1], max(1, len(frame) // PIECES)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        for piece in pieces:
            self._tcp.sendall(piece)
            gevent.sleep(over_s / len(pieces))
            if self.closed or self.silent:
                return None
        return frame[-1:]

    def silence(self) -> None:
        """Become a black hole: nothing is written or heeded any more, TCP stays open until the peer ends it."""
        self.silent = True
        self._forget()

    def swallow(self) -> None:
        """Read and drop whatever comes, until the peer is gone."""
        try:
            while self._tcp.recv(65536):
                pass
        except OSError:
            return

    def cut(self) -> None:
        """Drop the TCP connection without a word; the reader ends by itself."""
        self.end()
        try:
            self._tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def end(self) -> None:
        """Write nothing more, and say so to whoever waits for a frame to leave."""
        self.closed = True  # type: ignore[misc] # a slot of the untyped base
        self._forget()

    def _forget(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, told, _ in waiting:
            if told:
                told(False)

    def close(self, code: int = 1000, message: bytes | str | None = b"") -> None:
        """Send a close frame with a real code, once."""
        if self.closed:
            return
        reason = message.encode() if isinstance(message, str) else bytes(message or b"")
        self.write(_control(self.OPCODE_CLOSE, struct.pack("!H", code) + reason[:123]))
        self.closed = True  # type: ignore[misc] # a slot of the untyped base

    def handle_ping(self, header: Header, payload: bytes) -> None:
        """Answer a ping with its own payload."""
        self.write(_control(self.OPCODE_PONG, bytes(payload)))

    def handle_close(self, header: Header, payload: bytes) -> None:
        """Answer a close with its own code and reason; one whose reason is no UTF-8 is a breach like any other."""
        try:
            super().handle_close(header, payload)
        except UnicodeError:
            raise ProtocolError("a reason that is not UTF-8") from None

    def validate_utf8(self, payload: bytes) -> None:
        """Check nothing: the decoding of the whole message does, at a fiftieth of the cost and across fragments."""

    def read_frame(self) -> tuple[Header, bytes]:
        """Return the next frame, unmasked. Raises WebSocketError beyond the limit or where the stream ends."""
        header = Header.decode_header(self.stream)
        if header.flags:
            raise ProtocolError("reserved bits")
        if not header.mask:
            self.close(UNMASKED, "Received unmasked frame but masking is required")
            raise WebSocketError("an unmasked frame")
        if header.opcode < self.OPCODE_CLOSE:
            self._size = header.length + (self._size if header.opcode == self.OPCODE_CONTINUATION else 0)
            if self._size > BIGGEST_MESSAGE:
                self.close(TOO_BIG)
                raise WebSocketError("a message beyond the limit")
        payload = self.raw_read(header.length) if header.length else b""
        if len(payload) != header.length:
            raise WebSocketError("the stream ended inside a frame")
        return header, _unmask(payload, header.mask) if payload else payload

    def receive(self) -> str | bytearray | None:
        """Return the next message, None when the socket is done: closed by either side, cut, or in breach of the protocol."""
        return None if self.closed else super().receive()  # what it raises and closes with is fenced above


def _control(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, len(payload))) + payload


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR in one go over one big integer; a byte at a time costs eight times as much."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
