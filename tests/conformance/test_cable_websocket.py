"""The websocket under Action Cable, on Rails and on the sandbox: handshakes, fragments, closings and breaches.

Only handshakes that RFC 6455 forbids are left aside: Rails lets some of them through.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import websocket

from loadkit.cable import frames
from tests.conformance.servers import Server
from tests.sandbox.client import Wire, ask
from tests.support import eventually

Wires = Callable[..., Wire]
UPGRADE = ("Upgrade: websocket", "Connection: keep-alive, Upgrade")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("actioncable-v1-json", "actioncable-unsupported"), "actioncable-v1-json"),
        (("actioncable-unsupported", "actioncable-v1-json"), "actioncable-unsupported"),
        (("x-actioncable-v1-json", "actioncable-v1-json"), "actioncable-v1-json"),
        ((), None),
    ],
)
def test_the_first_known_subprotocol_is_chosen(server: Server, wires: Wires, offered: tuple[str, ...], chosen: str | None) -> None:
    """With a known subprotocol or without any a socket is welcomed and may subscribe."""
    wire = wires(server, protocols=offered)
    assert wire.ws.getsubprotocol() == chosen
    assert eventually(lambda: wire.frames) == [{"type": "welcome"}]
    wire.subscribe(server.token())


def test_unknown_subprotocols_and_extensions_are_passed_over(server: Server) -> None:
    """The answer has exactly the headers that a handshake needs, and the welcome follows."""
    offers = ("Sec-WebSocket-Protocol: graphql-ws", "Sec-WebSocket-Extensions: permessage-deflate")
    head, _, rest = raw(server, *UPGRADE, KEY, VERSION, *offers, until=b"}").partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    assert status == "HTTP/1.1 101 Switching Protocols"
    assert sorted(line.partition(":")[0] for line in headers) == ["Connection", "Sec-WebSocket-Accept", "Upgrade"]
    assert rest == b'\x81\x12{"type":"welcome"}'


@pytest.mark.parametrize("lines", [(), ("Connection: keep-alive",), ("Upgrade: h2c", "Connection: Upgrade"), ("Upgrade: websocket",)])
def test_what_is_no_upgrade_finds_no_page(server: Server, lines: tuple[str, ...]) -> None:
    """A plain request to the cable's address is a 404 of fourteen bytes, in one chunk."""
    headers = dict(line.split(": ") for line in lines)
    answer = ask(server.url, "GET", "/cable", headers=headers)
    assert (answer.status, answer.body) == (404, b"Page not found")
    said = [answer.headers.get(name) for name in ("content-type", "cache-control", "transfer-encoding", "content-length")]
    assert said == ["text/plain", "no-cache", "chunked", None]


def raw(server: Server, *lines: str, until: bytes) -> bytes:
    """Send a handshake of these lines and return what comes until a word or the end."""
    head = "\r\n".join(("GET /cable HTTP/1.1", "Host: x", *lines, "", "")).encode()
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10) as tcp:
        tcp.sendall(head)
        came = b""
        while until not in came and len(came) < 4096 and (more := tcp.recv(65536)):
            came += more
        return came


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0b\xb8", b"\x10\xe1bye"])
def test_a_close_is_answered_with_its_own_code(server: Server, payload: bytes) -> None:
    """Code and reason of a client's close come back, 1000 where it has none."""
    assert close_after(server, masked(8, payload)) == (payload or b"\x03\xe8")


BREACHES = {
    "an unmasked frame": (b"\x81\x02{}", 1003),
    "a reserved bit": (b"\xc1\x82\0\0\0\0{}", 1002),
    "an unknown opcode": (b"\x83\x80\0\0\0\0", 1002),
    "a continuation of nothing": (b"\x80\x81\0\0\0\0x", 1002),
    "a message inside a message": (b"\x01\x81\0\0\0\0x\x81\x81\0\0\0\0y", 1002),
    "a ping in fragments": (b"\x09\x81\0\0\0\0x", 1002),
    "a ping too long": (b"\x89\xfe\0\x7e\0\0\0\0" + b"x" * 126, 1002),
    "text that is not UTF-8": (b"\x81\x82\0\0\0\0\xff\xfe", 1007),
    "a close with half a code": (b"\x88\x81\0\0\0\0\x03", 1002),
    "a close with a code that may not be sent": (b"\x88\x82\0\0\0\0\x03\xed", 1002),
    "a close whose reason is not UTF-8": (b"\x88\x83\0\0\0\0\x03\xe8\xff", 1002),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_the_websocket_is_closed_with_its_code(server: Server, breach: str) -> None:
    """The code is what counts; the wording of the reasons is each server's own."""
    frame, code = BREACHES[breach]
    assert close_after(server, frame)[:2] == code.to_bytes(2, "big")


def close_after(server: Server, sent: bytes) -> bytes:
    """Return the payload of the close frame that answers these bytes.

    Rails now and then drops the connection before that frame has left; such an end is tried anew, a few times.
    """
    for _ in range(5):
        wire = websocket.create_connection(server.url.replace("http", "ws") + "/cable", timeout=10)
        try:
            wire.recv()
            wire.sock.sendall(sent)
            for _ in range(9):  # a ping of the cable's may come between
                opcode, data = wire.recv_data(control_frame=True)
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    return bytes(data)
        except websocket.WebSocketConnectionClosedException:
            continue
        finally:
            wire.shutdown()
    raise AssertionError("no close frame")


def masked(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def test_messages_may_come_in_fragments(server: Server, wires: Wires) -> None:
    """A command cut in three, with a ping between them, is one command."""
    wire, identifier = wires(server), frames.room_identifier(server.token())
    command = frames.subscribe(identifier).encode()
    for fin, opcode, part in ((0, 1, command[:9]), (1, 9, b"between"), (0, 0, command[9:30]), (1, 0, command[30:])):
        wire.ws.send_frame(websocket.ABNF(fin, 0, 0, 0, opcode, 1, part))
    eventually(lambda: any(frame.get("identifier") == identifier for frame in wire.frames))
    assert b"between" in wire.pongs
