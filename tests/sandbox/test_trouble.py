"""Faults of bytes, sockets and connections: what trickles, what is swallowed, what is slow; held against the truth and the counts."""

from __future__ import annotations

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import websocket

from loadkit import clock
from loadkit.cable import frames
from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, Wire, ask, heard, reply, staff, truth
from tests.sandbox.conftest import Make
from tests.support import eventually


def state(sandbox: Sandbox) -> dict[str, object]:
    return ask(sandbox.control, "GET", "/state").json()


def set_fault(sandbox: Sandbox, **values: str) -> None:
    assert ask(sandbox.control, "PUT", "/faults", values).status == 200


def test_a_dribbled_frame_comes_in_many_pieces(make: Make) -> None:
    """Whole and right in the end, stamped at its last byte; what follows on that socket waits behind it."""
    sandbox = make(faults=["dribble=1of2:400ms"], seed=2)
    customer = Customer(sandbox)
    assert customer.wire
    for marker in ("a", "b"):
        reply(sandbox, customer, marker)
    rows = {row["marker"]: row for row in truth(sandbox, 2)}
    slow = next(marker for marker, row in rows.items() if row["fault"] == "dribble")
    eventually(lambda: len(customer.hears()) == 2)
    assert customer.hears() == ["a", "b"]
    assert rows[slow]["held_s"] >= 0.4
    written = [rows[marker]["written"][0]["mono_us"] for marker in ("a", "b")]
    assert written == sorted(written)
    assert {row["fault"] for row in rows.values()} == {"dribble", None}
    customer.wire.close()


def test_the_pieces_really_come_apart(make: Make) -> None:
    """A reader of the bare socket gets the one frame in at least ten reads."""
    sandbox = make(faults=["dribble=1of1:300ms"])
    customer = Customer(sandbox, connected=False)
    bare = websocket.create_connection(sandbox.url.replace("http", "ws") + "/cable", timeout=10)
    bare.send(frames.subscribe(frames.room_identifier(customer.contact["pubsub_token"])))
    while "presence.update" not in bare.recv():
        pass  # welcome, confirmation, presence
    reply(sandbox, customer, "m")
    sizes: list[int] = []
    while not sizes or not truth_written(sandbox):
        sizes.append(len(bare.sock.recv(65536)))
    assert sizes.count(sizes[0]) >= 10  # what else was sent comes behind in one piece
    bare.shutdown()


def truth_written(sandbox: Sandbox) -> bool:
    assert sandbox.truth
    return sandbox.truth.read_bytes() != b""


def test_a_black_hole_swallows_one_socket_at_its_reply(make: Make) -> None:
    """TCP stays open, no ping, no pong, no frame comes any more; later replies to it are lost as well, and a new socket hears again."""
    sandbox = make(faults=["black_hole=1of1"])
    customer, other = Customer(sandbox), Customer(sandbox)
    assert customer.wire
    assert other.wire
    for marker in ("first", "second"):
        assert reply(sandbox, customer, marker).status == 200
    reply(sandbox, other, "elsewhere")
    dead = customer.wire
    customer.connect()
    reply(sandbox, customer, "again")
    rows = {row["marker"]: (row["fault"], len(row["written"]), row["status"]) for row in truth(sandbox, 4)}
    assert rows == {
        "first": ("black_hole", 0, 200),
        "second": ("in_black_hole", 0, 200),
        "elsewhere": (None, 1, 200),
        "again": (None, 1, 200),
    }
    assert customer.hears() == ["again"] or eventually(lambda: customer.hears() == ["again"])
    assert (dead.ended, [m["event"] for m in dead.events("message.created")]) == (None, [])
    dead.ws.ping(b"x")
    assert state(sandbox)["sockets"] == 3
    for wire in (dead, customer.wire, other.wire):
        wire.close()
    eventually(lambda: state(sandbox)["sockets"] == 0)
    assert dead.pongs == []


def test_a_server_that_is_a_black_hole_answers_nobody(sandbox: Sandbox, customer: Customer) -> None:
    """Requests, handshakes and frames are swallowed with TCP open; the lines of replies say so; afterwards new connections are served."""
    assert customer.wire
    customer.wire.settle()
    before = len(customer.wire.frames)
    set_fault(sandbox, black_hole="on")
    address = ("127.0.0.1", urlsplit(sandbox.url).port)
    peers = [socket.create_connection(address, timeout=0.3) for _ in range(3)]
    body = b'{"content":"x","echo_id":"lost"}'
    path = f"/api/v1/accounts/1/conversations/{customer.conversation}/messages"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nApi-Access-Token: {sandbox.agent_tokens[0]}\r\nContent-Type: application/json\r\n"
    peers[0].sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    peers[1].sendall(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
    peers[2].sendall(
        b"GET /cable HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    for peer in peers:
        with pytest.raises(TimeoutError):
            peer.recv(100)
    row = truth(sandbox, 1)[0]
    assert (row["marker"], row["fault"], row["status"], row["answered"], row["saved"]) == ("lost", "in_black_hole", None, None, None)
    set_fault(sandbox, black_hole="off")
    for peer in peers:
        peer.close()
    assert reply(sandbox, customer, "to a dead socket").status == 200
    assert (customer.wire.ended, customer.wire.frames[before:]) == (None, [])
    assert truth(sandbox, 2)[1]["fault"] == "in_black_hole"
    assert heard(sandbox, customer.connect()) == []


@pytest.mark.alone
def test_some_connections_are_accepted_late(make: Make) -> None:
    """Exactly so many of so many wait for their first byte, requests and cables alike."""
    sandbox = make(faults=["slow_accept=2of8:500ms"])
    began = clock.now()
    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(lambda _: _asked_s(sandbox), range(8)))
    assert Counter(each >= 0.5 for each in took) == {True: 2, False: 6}
    assert state(sandbox)["touched"] == {"slow_accept": 2}
    set_fault(sandbox, slow_accept="1of1:300ms")
    began = clock.now()
    Wire(sandbox.url).close()
    assert clock.now() - began >= 0.3


def _asked_s(sandbox: Sandbox) -> float:
    began = clock.now()
    assert ask(sandbox.url, "GET", "/api").status == 200
    return clock.now() - began


@pytest.mark.alone
def test_a_slow_reader_takes_a_little_at_a_time(make: Make) -> None:
    """A long body takes long to be read, a cable's command is heeded late, and both are right in the end."""
    sandbox = make()
    customer = Customer(sandbox, connected=False)
    text = "x" * 4000
    plain = _said_s(customer, text)
    set_fault(sandbox, slow_reader="1of1:20ms")
    slow = _said_s(customer, text)
    assert slow >= 15 * 0.02 > plain
    set_fault(sandbox, slow_reader="1of1:50ms")
    assert customer.connect()
    reply(sandbox, customer, "m")
    eventually(lambda: customer.hears() == ["m"])
    assert state(sandbox)["touched"] == {"slow_reader": 2}
    assert customer.wire
    customer.wire.close()


def _said_s(customer: Customer, text: str) -> float:
    began = clock.now()
    assert customer.says(text).json()["content"] == text
    return clock.now() - began


def test_half_the_confirmations_are_missing(make: Make) -> None:
    """Exactly five of ten subscriptions stay silent and hear nothing, whoever they are."""
    sandbox = make(faults=["never_confirm=5of10"])
    customers = [Customer(sandbox, connected=False) for _ in range(10)]
    wires = []
    for customer in customers:
        wires.append(Wire(sandbox.url))
        wires[-1].say(frames.subscribe(frames.room_identifier(customer.contact["pubsub_token"])))
        wires[-1].settle()
    for number, customer in enumerate(customers):
        reply(sandbox, customer, f"m{number}")
    for wire in wires:
        wire.settle()
    confirmed = [any(f.get("type") == "confirm_subscription" for f in wire.frames) for wire in wires]
    assert confirmed.count(True) == 5
    assert [bool(wire.events("message.created")) for wire in wires] == confirmed
    assert Counter(row["fault"] for row in truth(sandbox, 10)) == {None: 5, "no_socket": 5}
    assert staff(sandbox).frames
    for wire in wires:
        wire.close()


def test_what_dribbles_when_its_socket_ends_was_never_written(make: Make) -> None:
    """The customer leaves in the middle: the line ends without a copy."""
    sandbox = make(faults=["dribble=1of1:20s"])
    customer = Customer(sandbox)
    assert customer.wire
    reply(sandbox, customer, "m")
    customer.wire.close()
    row = truth(sandbox, 1)[0]
    assert (row["fault"], row["written"]) == ("dribble", [])
