"""An HTTP server that answers exactly the bytes a test wants: plain threads and sockets, nothing of loadkit."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

CLOSE, RESET = "close", "reset"
SILENCE = b""

Step = str | bytes | Callable[[socket.socket], object]
"""What a connection does next: answer a request by these bytes, or as the callable does, or end by FIN or RST."""


def answer(body: Any, status: str = "200 OK", *, headers: Sequence[str] = ()) -> bytes:
    """Return a whole answer with its length; what is not bytes becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", ""]).encode() + content


def chunked(*pieces: bytes, status: str = "200 OK") -> bytes:
    """Return an answer in chunks; it is whole if the last piece is empty."""
    head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


class Server:
    """Plays a script: the steps of each connection in the order of connecting; after its last step one is held open.

    A connection past the script is closed at once, so that a request which is repeated shows in `accepted`.
    """

    def __init__(self, *connections: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.accepted = 0
        self.hung_up = 0
        self._script, self._tls = connections, tls
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.02)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def host(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def bodies(self) -> list[Any]:
        """What was posted."""
        return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in self.requests]

    @property
    def lines(self) -> list[str]:
        """The request lines, without the protocol."""
        return [request.split(b"\r\n")[0].decode().removesuffix(" HTTP/1.1") for request in self.requests]

    def close(self) -> None:
        """End every connection."""
        self._over.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                sock, _ = self._listener.accept()
                steps = self._script[self.accepted] if self.accepted < len(self._script) else [CLOSE]
                self.accepted += 1
                self._threads.append(threading.Thread(target=self._serve, args=(sock, steps)))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket, steps: Sequence[Step]) -> None:
        with contextlib.suppress(OSError):
            sock.settimeout(5)
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            sock.settimeout(0.02)
            self._play(sock, steps)
        sock.close()
        self.hung_up += 1

    def _play(self, sock: socket.socket, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, str):
                if step == RESET:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            self.requests.append(self._read(sock))
            if callable(step):
                step(sock)
            else:
                sock.sendall(step)
        self._over.wait()

    def _read(self, sock: socket.socket) -> bytes:
        """Return one request, whole."""
        data, size = b"", None
        while size is None or len(data) < size:
            try:
                piece = sock.recv(65536)
            except TimeoutError:
                if self._over.is_set():
                    raise
                continue
            if not piece:
                raise ConnectionError("the client left")
            data += piece
            if size is None and b"\r\n\r\n" in data:
                head = data.partition(b"\r\n\r\n")[0]
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                size = len(head) + 4 + (int(length[1]) if length else 0)
        return data
