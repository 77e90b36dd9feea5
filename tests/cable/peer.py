"""A websocket server that says exactly the bytes a test wants: plain threads and sockets, nothing of loadkit."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
IDENTIFIER = '{"channel":"RoomChannel","pubsub_token":"a-token"}'
WELCOME = '{"type":"welcome"}'
PING = '{"type":"ping","message":1757422793}'


def frame(payload: bytes | str, *, opcode: int = 1, fin: bool = True, mask: bytes | None = None, rsv: int = 0) -> bytes:
    """Return one frame, legal or not."""
    data = payload.encode() if isinstance(payload, str) else payload
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    flag = 0x80 if mask is not None else 0
    if len(data) < 126:
        head += bytes([flag | len(data)])
    elif len(data) < 1 << 16:
        head += bytes([flag | 126]) + struct.pack("!H", len(data))
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", len(data))
    if mask is not None:
        head += mask
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return head + data


def confirmation(identifier: str = IDENTIFIER) -> str:
    return json.dumps({"identifier": identifier, "type": "confirm_subscription"}, separators=(",", ":"))


def broadcast(event: str, data: Any = None, *, identifier: str = IDENTIFIER) -> str:
    message = {"event": event, "data": data}
    return json.dumps({"identifier": identifier, "message": message}, separators=(",", ":"))


def accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


class Conn:
    """One accepted connection. `request` is the handshake's text, `heard` what the client said, as (opcode, payload)."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.request = ""
        self.heard: list[tuple[int, bytes]] = []
        self.ended = threading.Event()
        self.leave = threading.Event()
        self.listening = False
        self._unread = b""
        self._turn = threading.Lock()

    @property
    def texts(self) -> list[str]:
        return [payload.decode() for opcode, payload in list(self.heard) if opcode == 1]

    @property
    def commands(self) -> list[Any]:
        return [json.loads(text) for text in self.texts]

    def send(self, data: bytes) -> None:
        with self._turn:
            self.sock.settimeout(30)
            self.sock.sendall(data)

    def text(self, text: str) -> None:
        self.send(frame(text))

    def read_request(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(4096)
            if not piece:
                raise ConnectionError("the client left during the handshake")
            data += piece
        self.request = data.decode()

    def header(self, name: str) -> str | None:
        lines = (line.partition(": ") for line in self.request.split("\r\n")[1:])
        return next((value for key, _, value in lines if key.lower() == name.lower()), None)

    def upgrade(self, *, subprotocol: str | None = "actioncable-v1-json", extra: str = "", glued: bytes = b"") -> None:
        """Answer 101, with bytes of the websocket in the same segment."""
        chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept(self.header('Sec-WebSocket-Key') or '')}\r\n{chosen}{extra}\r\n"
        )
        self.send(answer.encode() + glued)

    def listen(self) -> None:
        """Take down what the client says until it leaves."""
        self.listening = True
        with contextlib.suppress(OSError, ValueError):
            while not self.leave.is_set():
                if not self._read():
                    break
        self.ended.set()

    def _read(self) -> bool:
        """Read what comes within a moment; False at the end. Two threads may not use a TLS socket at once."""
        if not (self._decrypted() or select.select([self.sock], [], [], 0.02)[0]):
            return True
        with self._turn:
            self.sock.settimeout(0.02)
            try:
                piece = self.sock.recv(65536)
            except TimeoutError:
                return True
        self._unread += piece
        while (taken := self._take(self._unread)) is not None:
            self._unread = self._unread[taken:]
        return bool(piece)

    def _decrypted(self) -> int:
        return self.sock.pending() if isinstance(self.sock, ssl.SSLSocket) else 0

    def _take(self, data: bytes) -> int | None:
        """Take down the frame that `data` begins with; return its length, None while it is not whole."""
        short = data[1] & 0x7F if len(data) > 1 else 0
        at = {126: 4, 127: 10}.get(short, 2)
        if len(data) < at + 4:
            return None
        assert data[1] & 0x80, "a client's frame must be masked"
        length = int.from_bytes(data[2:at], "big") if at > 2 else short
        mask, body = data[at : at + 4], data[at + 4 : at + 4 + length]
        if len(body) < length:
            return None
        pad = (mask * (length // 4 + 1))[:length]
        plain = (int.from_bytes(body, "big") ^ int.from_bytes(pad, "big")).to_bytes(length, "big")
        self.heard.append((data[0] & 0x0F, plain))
        return at + 4 + length

    def wait_for(self, count: int) -> None:
        """Block this thread until the client said `count` texts: for use inside scripts."""
        while len(self.texts) < count:
            if not self._read():
                raise ConnectionError("the client left")

    def reset(self) -> None:
        """End with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.leave.set()
        if self.listening:  # a descriptor that another thread reads is not closed before that read ends
            self.ended.wait(5)
        self.sock.close()

    def finish(self) -> None:
        """End with a FIN, without TLS's own goodbye, as a process that stops does."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def ignore(self) -> None:
        """Read whatever comes until the client leaves, and make nothing of it."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass
        self.ended.set()


Script = Callable[[Conn], None]


def ordinary(conn: Conn) -> None:
    """Welcome, confirm whatever is subscribed to, listen."""
    conn.read_request()
    conn.upgrade(glued=frame(WELCOME))
    conn.wait_for(1)
    conn.text(confirmation(conn.commands[0]["identifier"]))
    conn.listen()


class Peer:
    """Listens on 127.0.0.1 and plays `script` on every connection, in a thread of its own."""

    def __init__(self, script: Script = ordinary, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.conns: list[Conn] = []
        self.faults: list[BaseException] = []
        self._tls = tls
        self._serving: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/cable"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._serving.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
                self._serving[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock = self._tls.wrap_socket(sock, server_side=True) if self._tls else sock
            conn = Conn(sock)
            self.conns.append(conn)
            self.script(conn)
        except OSError:
            pass  # the client left, as many of these tests want it to
        except BaseException as fault:  # noqa: BLE001 - told to the test, which looks
            self.faults.append(fault)
        finally:
            sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for conn in self.conns:
            conn.leave.set()
            with contextlib.suppress(OSError):
                socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)  # an SSLSocket's own would go on in clear
        for thread in [self._thread, *self._serving]:
            thread.join(5)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
