"""One HTTP connection of the sandbox: gevent-websocket's handler with its faults fenced in, and the handshake of Action Cable.

Turns Nagle's delay off; lets a connection wait or be read slowly where a fault says so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import socket
from typing import Any

import gevent
from geventwebsocket.handler import WebSocketHandler
from geventwebsocket.websocket import Stream

from loadkit.chat import routes
from loadkit.sandbox.websocket import Socket

__all__ = ["CABLES", "PROTOCOLS", "Face"]

CABLES = (routes.CABLE, routes.CABLE + "/")
PROTOCOLS = ("actioncable-v1-json", "actioncable-unsupported")
PIECE = 256
SMALL_BUFFER = 4096


class SlowSource(io.RawIOBase):
    """A socket that is read a small piece at a time, each after a rest of `pause_s` seconds."""

    def __init__(self, sock: socket.socket, pause_s: float) -> None:
        super().__init__()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        self._sock = sock
        self._pause_s = pause_s

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a little of a buffer."""
        gevent.sleep(self._pause_s)
        return self._sock.recv_into(memoryview(buffer)[:PIECE])


class Face(WebSocketHandler):  # type: ignore[misc]
    """One HTTP connection; only `/cable` upgrades."""

    def __init__(self, sock: socket.socket, address: Any, server: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pause_s = server.application.faults.read_pause_s()
        super().__init__(sock, address, server, io.BufferedReader(SlowSource(sock, pause_s), PIECE) if pause_s else None)

    def handle(self) -> None:
        """Serve the connection, at once or after the time for which a fault leaves it alone."""
        if (wait_s := self.server.application.faults.accepted_after_s()) > 0:
            gevent.sleep(wait_s)
        super().handle()

    def get_environ(self) -> dict[str, Any]:
        """Add the path as it was sent (unquoting comes after routing) and the one header whose underscores gevent refuses."""
        environ: dict[str, Any] = super().get_environ()
        environ["loadkit.socket"] = self.socket
        environ["loadkit.path"] = self.path.partition("?")[0]
        if (token := self.headers.get("api_access_token")) is not None:
            environ["HTTP_API_ACCESS_TOKEN"] = token
        return environ

    def finalize_headers(self) -> None:
        """Say so where the connection ends with this answer, as Puma does; gevent ends it without a word."""
        super().finalize_headers()
        if self.close_connection and all(name.lower() != b"connection" for name, _ in self.response_headers):
            self.response_headers.append((b"Connection", b"close"))

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
