"""gevent-websocket with its faults fenced in: everything that library does wrong for us is overridden here, and nowhere else.

`Socket` writes whole prepared frames through one queue, closes with real codes, unmasks in one step and survives rude peers;
`Face` answers handshakes as Action Cable does and turns Nagle's delay off.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
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

from loadkit.chat import routes

__all__ = ["BIGGEST_MESSAGE", "CABLES", "PROTOCOLS", "Face", "Socket", "text_frame"]

CABLES = (routes.CABLE, routes.CABLE + "/")
PROTOCOLS = ("actioncable-v1-json", "actioncable-unsupported")
BIGGEST_MESSAGE = 64 * 1024 * 1024
BIGGEST_BACKLOG = 64 * 1024 * 1024
UNMASKED = 1003
TOO_BIG = 1009

_Told = Callable[[bool], None] | None


def text_frame(payload: bytes) -> bytes:
    """Return the bytes of an unmasked text frame, made once for as many sockets as hear it."""
    return bytes(Header.encode_header(True, WebSocket.OPCODE_TEXT, b"", len(payload), 0)) + payload


class Socket(WebSocket):  # type: ignore[misc]
    """A server's websocket with one writer: `write` never blocks and never interleaves."""

    __slots__ = ("_backlog", "_size", "_tcp", "_waiting")

    def __init__(self, environ: dict[str, Any], stream: Stream, handler: WebSocketHandler) -> None:
        super().__init__(environ, stream, handler)
        self._tcp: socket.socket = handler.socket
        self._waiting: deque[tuple[bytes, _Told]] = deque()
        self._backlog = 0
        self._size = 0

    def __del__(self) -> None:
        """Leave the connection alone: the library's own version writes a close frame to a file descriptor long reused."""

    def write(self, frame: bytes, told: _Told = None) -> None:
        """Send a prepared frame, now if the kernel takes it, else in its turn.

        `told` is called once: with True right before the bytes leave, with False when they never will.
        """
        if self.closed:
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

    def _put(self, frame: bytes, told: _Told) -> None:
        self._waiting.append((frame, told))
        self._backlog += len(frame)
        if self._backlog > BIGGEST_BACKLOG:
            self.cut()

    def _drain(self) -> None:
        """Write what the kernel did not take; the head stays queued while it is being written, so nobody overtakes it."""
        try:
            while self._waiting and not self.closed:
                frame, told = self._waiting[0]
                if told:
                    told(True)
                    self._waiting[0] = (frame, None)
                self._tcp.sendall(frame)
                if self._waiting:
                    self._waiting.popleft()
                self._backlog -= len(frame)
        except OSError:
            self.cut()

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
        waiting, self._waiting = self._waiting, deque()
        for _, told in waiting:
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


class Face(WebSocketHandler):  # type: ignore[misc]
    """One HTTP connection; only `/cable` upgrades."""

    def __init__(self, sock: socket.socket, address: Any, server: Any, *rest: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, address, server, *rest)

    def get_environ(self) -> dict[str, Any]:
        """Add the path as it was sent (unquoting comes after routing) and the one header whose underscores gevent refuses."""
        environ: dict[str, Any] = super().get_environ()
        environ["loadkit.path"] = self.path.partition("?")[0]
        if (token := self.headers.get("api_access_token")) is not None:
            environ["HTTP_API_ACCESS_TOKEN"] = token
        return environ

    def log_request(self) -> None:
        """Log nothing."""

    def log_error(self, msg: str, *args: Any) -> None:
        """Log nothing: what a peer did wrong is answered, not reported."""

    def upgrade_websocket(self) -> list[bytes] | None:
        """Answer the handshake; None means that the request goes on as plain HTTP."""
        environ = self.environ
        upgrade = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        if environ["PATH_INFO"] not in CABLES or environ["REQUEST_METHOD"] != "GET" or not upgrade:
            return None
        if "upgrade" not in environ.get("HTTP_CONNECTION", "").lower() or self.request_version != "HTTP/1.1":
            return None
        if not self._sound():
            self.close_connection = True
            headers = [("Content-Length", "0"), ("Sec-WebSocket-Version", "13"), ("Connection", "close")]
            self.start_response("400 Bad Request", headers)
            return [b""]
        if self.application.admit(environ):
            self._switch()
        return None

    def _sound(self) -> bool:
        key = self.environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
        try:
            length = len(base64.b64decode(key, validate=True))
        except (binascii.Error, ValueError):
            return False
        return length == 16 and self.environ.get("HTTP_SEC_WEBSOCKET_VERSION") in self.SUPPORTED_VERSIONS

    def _switch(self) -> None:
        environ = self.environ
        self.websocket = Socket(environ, Stream(self), self)
        environ["wsgi.websocket"] = self.websocket
        key = environ["HTTP_SEC_WEBSOCKET_KEY"].strip() + self.GUID
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode("latin-1")).digest()).decode()),
        ]
        offered = [word.strip() for word in environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")]
        if chosen := next((word for word in offered if word in PROTOCOLS), None):
            headers.append(("Sec-WebSocket-Protocol", chosen))
        self.start_response("101 Switching Protocols", headers)
