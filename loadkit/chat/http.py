"""One keep-alive HTTP connection of ours, on which *sent* is the line before the bytes leave.

A plain standard-library socket: cooperative in a process that Locust has patched, blocking elsewhere. It never repeats a request
whose bytes have left, because the message may exist.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from loadkit import clock
from loadkit.chat.answers import Answer
from loadkit.errors import TransportError

__all__ = ["Connection"]

_MOST_BODY = 64 << 20
_MOST_REASON = 120


class Connection:
    """A connection to one host, opened when it is needed and again after it broke."""

    def __init__(
        self, host: str, *, ssl_context: ssl.SSLContext | None = None, connect_timeout: float = 10.0, timeout: float = 60.0
    ) -> None:
        parts = urlsplit(host)
        self._name = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._netloc = parts.netloc
        self._ssl = (ssl_context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._connect_timeout, self._timeout = connect_timeout, timeout
        self._sock: socket.socket | None = None

    def open(self) -> None:
        """Have a live connection: an idle one that the peer has closed is replaced. Raises TransportError (`unreachable`, `shortage`)."""
        if self._sock is not None and not self._is_alive(self._sock):
            self.close()
        if self._sock is not None:
            return
        try:
            sock = socket.create_connection((self._name, self._port), self._connect_timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock = self._ssl.wrap_socket(sock, server_hostname=self._name) if self._ssl else sock
            self._sock.settimeout(self._timeout)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA cannot spell
            kind, text = TransportError.of_opening(error), f"{self._netloc} cannot be reached: {_reason(error)}"
            raise TransportError(kind, text) from None

    @staticmethod
    def _is_alive(sock: socket.socket) -> bool:
        """Whether an idle connection is open and silent; whatever can be read from it means that it is of no use any more."""
        before = sock.gettimeout()
        sock.settimeout(0)
        try:
            sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        finally:
            sock.settimeout(before)
        return False

    def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        sending: Callable[[int], None] | None = None,
    ) -> Answer:
        """Send a request on an open connection and return its answer.

        `sending` is called with the *sent* stamp on the line before the bytes leave. Raises TransportError: `timeout` or `cut`, bytes
        had left.
        """
        self.open()
        sock = self._sock
        assert sock is not None
        request = self._request(method, path, headers or {}, body)
        sent_us = clock.now_us()
        if sending is not None:
            sending(sent_us)
        try:
            sock.sendall(request)
            with http.client.HTTPResponse(sock, method=method) as response:  # its file would hold the socket open
                response.begin()
                content = _whole(response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            kind = "timeout" if isinstance(error, TimeoutError) else "cut"
            raise TransportError(kind, f"{method} got no whole answer: {_reason(error)}") from None
        except BaseException:
            self.close()  # killed while waiting: the answer that is still to come must not be taken for the next request's
            raise
        answered_us = clock.now_us()
        if response.will_close:
            self.close()
        return Answer(response.status, content, response.getheader("X-Request-Id") or "", sent_us, answered_us)

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        out = io.StringIO()
        out.write(f"{method} {path} HTTP/1.1\r\nHost: {self._netloc}\r\nUser-Agent: loadkit\r\nAccept: application/json\r\n")
        for name, value in headers.items():
            out.write(f"{name}: {value}\r\n")
        if body is not None:
            out.write(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        out.write("\r\n")
        return out.getvalue().encode("latin-1", "replace") + (body or b"")

    def close(self) -> None:
        """Close; the next exchange opens anew."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _whole(response: http.client.HTTPResponse) -> bytes:
    """Return the body of an answer that is whole; the standard library takes three others for it without a word.

    One with fewer bytes than its length says, one past the bound, and a head that was cut, which looks like an empty body that ends with
    its connection.
    """
    content = response.read(_MOST_BODY)
    is_cut_head = not content and response.length is None and not response.chunked
    if response.length or is_cut_head or len(content) == _MOST_BODY:
        raise http.client.IncompleteRead(content, response.length)
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "the name is unknown"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:_MOST_REASON] or type(error).__name__
