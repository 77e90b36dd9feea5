"""gevent-websocket's faults, each shown on the library's own class and gone from ours."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import gevent.socket
import pytest
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.websocket import Header, Stream, WebSocket

from loadkit.sandbox import Sandbox
from loadkit.sandbox.face import Face
from loadkit.sandbox.faults import Faults
from loadkit.sandbox.websocket import BIGGEST_MESSAGE, Socket, text_frame

Pair = Callable[..., tuple[Any, socket.socket]]
SOME = 3000  # frames of 204 bytes: more than a socket pair buffers
MASK = b"\x01\x02\x03\x04"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Return a maker of a websocket of either class on one end of a socket pair, and the other end."""
    held: list[socket.socket] = []

    def make(kind: type[WebSocket], library: Any = socket) -> tuple[Any, socket.socket]:
        here, there = library.socketpair()
        there.settimeout(10)
        held.extend((here, there))
        handler = SimpleNamespace(
            rfile=here.makefile("rb"),
            socket=here,
            logger=logging.getLogger("nobody"),
            server=SimpleNamespace(application=None),
        )
        return kind({}, Stream(handler), handler), there

    yield make
    for each in held:
        each.close()


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    body = bytes(byte ^ MASK[n % 4] for n, byte in enumerate(payload))
    return bytes(Header.encode_header(fin, opcode, MASK, len(payload), 0)) + body


def test_close_codes_are_sent(pair: Pair) -> None:
    """The library leaves the code out of the close frame; ours sends it before the reason."""
    (theirs, there), (ours, here) = pair(WebSocket), pair(Socket)
    theirs.close(4001, "bye")
    ours.close(4001, "bye")
    assert there.recv(99) == b"\x88\x03bye"
    assert here.recv(99) == b"\x88\x05\x0f\xa1bye"


def test_a_clients_close_is_echoed_as_it_was(pair: Pair) -> None:
    """The library echoes the text of a Python object; ours the code and the reason."""
    for kind, answer in ((WebSocket, b"bytearray"), (Socket, b"\x03\xe8bye")):
        ws, there = pair(kind)
        there.sendall(masked(8, b"\x03\xe8bye"))
        assert ws.receive() is None
        assert answer in there.recv(99)


def test_pongs_carry_the_pings_bytes(pair: Pair) -> None:
    """A ping's payload comes back byte for byte, be it text or not, and the message after it is read."""
    ws, there = pair(Socket)
    there.sendall(masked(9, b"\xff\x00x") + masked(1, b"after"))
    assert ws.receive() == "after"
    assert there.recv(99) == b"\x8a\x03\xff\x00x"


def test_an_end_of_the_stream_is_no_error(pair: Pair) -> None:
    """After an abrupt end the library's next receive raises; ours goes on saying that there is nothing."""
    for kind in (WebSocket, Socket):
        ws, there = pair(kind)
        there.sendall(masked(1, b"cut short")[:5])
        there.close()
        assert ws.receive() is None
        if kind is Socket:
            assert ws.receive() is None
        else:
            with pytest.raises(WebSocketError):
                ws.receive()


def test_messages_have_a_limit(pair: Pair) -> None:
    """The library waits for as many bytes as a frame claims; ours closes with 1009 at the header, fragments added up."""
    ws, there = pair(Socket)
    there.sendall(bytes(Header.encode_header(True, 1, MASK, BIGGEST_MESSAGE + 1, 0)))
    assert ws.receive() is None
    assert there.recv(99) == b"\x88\x02\x03\xf1"
    ws, there = pair(Socket)
    there.sendall(masked(1, b"a", fin=False) + bytes(Header.encode_header(True, 0, MASK, BIGGEST_MESSAGE, 0)))
    assert ws.receive() is None
    assert there.recv(99) == b"\x88\x02\x03\xf1"


def test_a_character_may_be_split_between_fragments(pair: Pair) -> None:
    """The library decodes whole messages but checks each fragment twice; ours checks once, and refuses with 1007."""
    ws, there = pair(Socket)
    there.sendall(masked(1, "é".encode()[:1], fin=False) + masked(0, "é".encode()[1:]))
    assert ws.receive() == "é"
    there.sendall(masked(1, b"\xff\xfe"))
    assert ws.receive() is None
    assert there.recv(99) == b"\x88\x02\x03\xef"


def test_breaches_are_closed_with_1002(pair: Pair) -> None:
    """Reserved bits, unknown opcodes, oversized or split control frames, orphaned continuations."""
    for breach in (b"\xc1\x80" + MASK, b"\x83\x80" + MASK, masked(9, b"x" * 126), b"\x09\x80" + MASK, masked(0, b"x")):
        ws, there = pair(Socket)
        there.sendall(breach)
        assert ws.receive() is None
        assert there.recv(99) == b"\x88\x02\x03\xea"


def test_a_forgotten_socket_writes_nothing(pair: Pair) -> None:
    """The library's finaliser writes a close frame into a descriptor that may be somebody else's by then; ours does nothing."""
    (theirs, there), (ours, here) = pair(WebSocket), pair(Socket)
    theirs.__del__()
    ours.__del__()
    here.setblocking(False)
    assert there.recv(99) == b"\x88\x00"
    with pytest.raises(BlockingIOError):
        here.recv(99)


@pytest.mark.alone
def test_unmasking_is_many_times_faster(pair: Pair) -> None:
    """Unmasking and checking a byte at a time costs the library several times what ours costs, on the same message."""
    text, rounds = b"x" * 1500, 40
    spent = {}
    for kind in (WebSocket, Socket):
        ws, there = pair(kind)
        there.sendall(masked(1, text) * rounds)
        began = time.perf_counter()
        assert [len(ws.receive()) for _ in range(rounds)] == [len(text)] * rounds
        spent[kind] = time.perf_counter() - began
    assert spent[WebSocket] > 2 * spent[Socket]


def waiting(pair: Pair, frames: int) -> tuple[Socket, Any, list[tuple[int, bool]], bytes]:
    """Return a socket with more frames written than the kernel takes, its peer, who was told what, and all the bytes."""
    ws, there = pair(Socket, gevent.socket)
    told: list[tuple[int, bool]] = []
    prepared = [text_frame(b"%04d" % number * 50) for number in range(frames)]
    for number, frame in enumerate(prepared):
        ws.write(frame, lambda left, number=number: told.append((number, left)))  # type: ignore[misc]
    return ws, there, told, b"".join(prepared)


def test_frames_are_never_torn_nor_overtaken_by_a_slow_reader(pair: Pair) -> None:
    """Two greenlets in the library's `sendall` tear each other's frames; ours has one writer, and tells when each frame leaves."""
    _, there, told, everything = waiting(pair, SOME)
    assert 0 < len(told) < SOME
    heard = b""
    while len(heard) < len(everything):
        heard += there.recv(65536)
    assert heard == everything
    assert told == [(number, True) for number in range(SOME)]


def test_a_cut_says_what_never_left(pair: Pair) -> None:
    """Frames still waiting when a socket is cut are told so, once; so is whatever is written later."""
    ws, _, told, _ = waiting(pair, SOME)
    left = len(told)
    ws.cut()
    ws.write(b"", lambda left: told.append((SOME, left)))
    assert told == [(number, number < left) for number in range(SOME + 1)]


def test_nagle_is_off_on_accepted_sockets() -> None:
    """The library leaves Nagle's delay on; ours turns it off before the first byte, so two small frames do not wait for an ACK."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, address = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
            Face(accepted, address, SimpleNamespace(application=SimpleNamespace(faults=Faults())))
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize("spoiled", ["Sec-WebSocket-Version: 99", "Sec-WebSocket-Key: short", "Sec-WebSocket-Key: "])
def test_a_bad_handshake_is_answered(sandbox: Sandbox, spoiled: str) -> None:
    """The library's error bodies are text and break its own server after the headers; ours are a whole 400."""
    lines = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    name, _, value = spoiled.partition(": ")
    head = "".join(f"{key}: {text}\r\n" for key, text in (lines | {name: value}).items())
    with socket.create_connection(("127.0.0.1", urlsplit(sandbox.url).port), timeout=10) as tcp:
        tcp.sendall(f"GET /cable HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        answer = b"".join(iter(lambda: tcp.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_frame_is_made_once_for_all(pair: Pair) -> None:
    """A prepared frame has the same bytes as the library's own, whatever its length."""
    for length in (0, 125, 126, 65_535, 65_536):
        (theirs, there), (ours, here) = pair(WebSocket), pair(Socket)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        theirs.send("x" * length)
        ours.write(text_frame(b"x" * length))
        size = len(text_frame(b"x" * length))
        assert there.recv(size, socket.MSG_WAITALL) == here.recv(size, socket.MSG_WAITALL)
