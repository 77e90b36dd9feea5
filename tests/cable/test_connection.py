"""A cable's life against a server that scripts every byte, over plain TCP and TLS."""

from __future__ import annotations

import gc
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import gevent
import gevent.ssl
import pytest

from loadkit.cable.connection import Cable
from loadkit.cable.protocol import State
from loadkit.cable.receiver import Receiver
from loadkit.cable.reconnect import Waits
from loadkit.errors import AnswerError, LoadkitError, LocalProtocolError, RemoteProtocolError, TransportError
from tests.cable.conftest import CERTIFICATE, steadily
from tests.cable.notes import Notes
from tests.cable.peer import IDENTIFIER, PING, WELCOME, Conn, Peer, Script, broadcast, confirmation, frame, ordinary
from tests.support import eventually

Peers = Callable[..., Peer]
Cables = Callable[..., Cable]
Server = Callable[..., tuple[Peer, Cable]]
MARKED = broadcast("message.created", {"echo_id": "lk1:0001"})


@pytest.fixture
def trusting() -> gevent.ssl.SSLContext:
    """Return a client's context that accepts the tests' certificate, and no other."""
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    return context


@pytest.fixture(params=["plain", "tls"])
def server(request: pytest.FixtureRequest, peers: Peers, cables: Cables, server_tls: ssl.SSLContext) -> Server:
    """Return a maker of a peer and a cable to it, once in clear and once in TLS."""
    trusting = request.getfixturevalue("trusting")

    def make(script: Script = ordinary, **options: object) -> tuple[Peer, Cable]:
        if request.param == "plain":
            peer = peers(script)
            return peer, cables(peer, **options)
        peer = peers(script, tls=server_tls)
        return peer, cables(peer, ssl_context=trusting, **options)

    return make


def test_a_cable_is_welcomed_confirmed_and_receives(server: Server, notes: Notes, receiver: Receiver) -> None:
    """The welcome shares the segment of the 101; everything is told in order, each with its time."""
    peer, cable = server(tag="tagged")
    cable.open()
    assert (cable.state, cable.is_open, cable.is_confirmed, cable.drops, cable.tag) == (State.CONFIRMED, True, True, 0, "tagged")
    assert [name for name, _ in notes.told] == ["connected", "confirmed"]
    ((took_us,),) = notes.of("connected")
    ((confirm_us, gap_us),) = notes.of("confirmed")
    assert took_us > 0
    assert confirm_us > 0
    assert gap_us is None
    peer.conns[0].send(frame(MARKED) * 40 + frame(PING) + frame(MARKED))
    eventually(lambda: len(notes.of("marked")) == 41)
    assert cable.confirmed_us is not None
    assert all(received >= cable.confirmed_us for _, _, received, _ in notes.of("marked"))
    peer.conns[0].text(PING)
    eventually(lambda: len(notes.of("ping_gap")) == 1)
    assert peer.conns[0].commands == [{"command": "subscribe", "identifier": IDENTIFIER}]


def test_tls_has_the_line_after_the_read_as_its_stamp(
    peers: Peers, cables: Cables, trusting: object, server_tls: ssl.SSLContext, notes: Notes
) -> None:
    """Bytes that TLS decrypted ahead are read although no poll tells of them, and large frames span its records."""
    peer = peers(tls=server_tls)
    cables(peer, ssl_context=trusting).open()
    big = broadcast("message.created", {"echo_id": "lk1:1", "content": "x" * 100_000})
    peer.conns[0].send(b"".join(frame(text) for text in (MARKED, big, MARKED)))
    eventually(lambda: len(notes.of("marked")) == 3)
    assert [(len(payload), quality) for payload, _, _, quality in notes.of("marked")] == [
        (len(text), "user_space") for text in (MARKED, big, MARKED)
    ]


def test_a_certificate_that_is_not_trusted(peers: Peers, cables: Cables, server_tls: ssl.SSLContext, receiver: Receiver) -> None:
    """The shared default context trusts the system's authorities only, and is one for all."""
    with pytest.raises(TransportError, match="certificate") as caught:
        cables(peers(tls=server_tls)).open()
    assert caught.value.kind == "unreachable"
    assert receiver.tls_context() is receiver.tls_context()


# Opening that fails.


def answers(*said: bytes | None) -> Script:
    """Return a script that, after the handshake, says these bytes, each after the next text of the client; None ends it."""

    def script(conn: Conn) -> None:
        conn.read_request()
        conn.upgrade()
        for heard, data in enumerate(said):
            conn.wait_for(heard)
            if data is None:
                conn.finish()
            else:
                conn.send(data)
        conn.listen()

    return script


def black_hole(conn: Conn) -> None:
    conn.ignore()


def unavailable(conn: Conn) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    conn.listen()


WELCOMED = frame(WELCOME)
REJECTION = frame(confirmation().replace("confirm_", "reject_"))
FAILURES: dict[str, tuple[Script, type[LoadkitError], str]] = {
    "no answer": (black_hole, TransportError, "timeout"),
    "refused": (unavailable, AnswerError, "http_503"),
    "no welcome": (answers(), TransportError, "timeout"),
    "end before the welcome": (answers(None), TransportError, "cut"),
    "never confirmed": (answers(WELCOMED), TransportError, "unconfirmed"),
    "confirmed to another": (answers(WELCOMED, frame(confirmation("another"))), TransportError, "unconfirmed"),
    "end before the confirmation": (answers(WELCOMED, None), TransportError, "cut"),
    "rejected": (answers(WELCOMED, REJECTION), RemoteProtocolError, "rejected"),
    "masked": (answers(frame(WELCOME, mask=b"abcd")), RemoteProtocolError, "protocol_error"),
    "disconnected": (answers(frame('{"type":"disconnect","reason":"unauthorized","reconnect":false}')), TransportError, "cut"),
    "closed": (answers(WELCOMED, frame(b"\x03\xe9", opcode=8)), TransportError, "cut"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_opening_that_fails_says_how_and_leaves_nothing_behind(server: Server, notes: Notes, receiver: Receiver, failure: str) -> None:
    """It is no drop, it is not repeated by itself, and the same cable may be tried again."""
    script, error, kind = FAILURES[failure]
    peer, cable = server(script, connect_timeout=0.4, confirm_timeout=0.4)
    with pytest.raises(error) as caught:
        cable.open()
    assert caught.value.kind == kind  # type: ignore[attr-defined]
    assert "a-token" not in str(caught.value) + repr(caught.value) + repr(cable)
    assert (cable.state, cable.is_open, cable.drops, cable.confirmed_us, receiver.held) == (State.CLOSED, False, 0, None, 0)
    assert notes.of("dropped") == notes.of("failed") == []
    assert len(notes.of("unconfirmed")) == (1 if kind == "unconfirmed" else 0)
    assert len(peer.conns) == 1
    peer.script = ordinary
    cable.open()
    assert cable.is_confirmed


def test_a_plain_server_asked_for_tls_is_unreachable(peers: Peers, cables: Cables, trusting: object) -> None:
    """Not a single byte of ours could be sent."""
    peer = peers(lambda conn: conn.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    cable = Cable(peer.url.replace("ws:", "wss:"), IDENTIFIER, receiver=cables(peer)._receiver, watcher=Notes(), ssl_context=trusting)  # type: ignore[arg-type]
    with pytest.raises(TransportError) as caught:
        cable.open()
    assert caught.value.kind == "unreachable"


def test_commands_out_of_turn_are_ours(server: Server) -> None:
    """Opening twice, performing while closed."""
    _, cable = server()
    with pytest.raises(LocalProtocolError):
        cable.perform("update_presence")
    cable.open()
    with pytest.raises(LocalProtocolError):
        cable.open()
    cable.close()
    with pytest.raises(LocalProtocolError):
        cable.perform("update_presence")


def test_what_a_busy_server_reads_late_comes_whole_and_in_order(server: Server, notes: Notes) -> None:
    """In TLS too, where a write that was refused must be repeated from the same bytes."""
    reading = threading.Event()

    def late(conn: Conn) -> None:
        conn.read_request()
        conn.upgrade(glued=WELCOMED)
        conn.wait_for(1)
        conn.text(confirmation())
        reading.wait(10)
        conn.listen()

    peer, cable = server(late, reconnect="never")
    cable.open()
    performed = 0
    while not cable._link.queued:  # type: ignore[union-attr]  # until the kernel's buffers are full
        cable.perform(f"{performed:0500d}")
        performed += 1
    for _ in range(20):
        cable.perform(f"{performed:0500d}")
        performed += 1
    reading.set()
    eventually(lambda: len(peer.conns[0].heard) == performed + 1, within=20)
    actions = [json.loads(command["data"])["action"] for command in peer.conns[0].commands[1:]]
    assert actions == [f"{number:0500d}" for number in range(performed)]
    assert cable.is_confirmed


# Breaking and coming back.

DROPS: dict[str, tuple[Callable[[Conn], None], str]] = {
    "end": (Conn.finish, "eof"),
    "end in mid-frame": (lambda conn: (conn.send(frame(MARKED)[:50]), conn.finish()), "eof"),  # type: ignore[dict-item]
    "reset": (Conn.reset, "reset"),
    "close frame": (lambda conn: conn.send(frame(b"\x03\xe9bye", opcode=8)), "closed_1001"),
    "close frame without a code": (lambda conn: conn.send(frame(b"", opcode=8)), "closed_1005"),
    "masked frame": (lambda conn: conn.send(frame(PING, mask=b"abcd")), "protocol_error"),
    "disconnect": (lambda conn: conn.text('{"type":"disconnect","reason":"server_restart","reconnect":true}'), "disconnect_server_restart"),
    "disconnect with a strange reason": (lambda conn: conn.text('{"type":"disconnect","reason":"<b>!"}'), "disconnect_other"),
}


@pytest.mark.parametrize("drop", DROPS)
def test_a_cable_that_breaks_says_why_and_comes_back(server: Server, notes: Notes, receiver: Receiver, drop: str) -> None:
    """The same cable, on a fresh socket; the gap runs from the drop to the new confirmation."""
    breaks, reason = DROPS[drop]
    peer, cable = server()
    cable.open()
    first_us = cable.confirmed_us
    breaks(peer.conns[0])
    eventually(lambda: len(notes.of("confirmed")) == 2)
    # Python's TLS sockets make no difference between an end and a reset.
    assert notes.of("dropped") == [("eof" if reason == "reset" and peer.url.startswith("wss") else reason,)]
    assert (cable.is_confirmed, cable.drops, receiver.held) == (True, 1, 1)
    assert first_us is not None
    assert cable.confirmed_us is not None
    assert cable.confirmed_us > first_us
    _, gap_us = notes.of("confirmed")[1]
    assert 0 < gap_us <= cable.confirmed_us - first_us
    eventually(lambda: len(peer.conns) == 2)
    peer.conns[1].text(MARKED)
    eventually(lambda: notes.of("marked"))
    assert notes.of("failed") == []


def test_a_cable_told_not_to_come_back_does_not(server: Server, notes: Notes, receiver: Receiver) -> None:
    """As the stock client."""
    peer, cable = server()
    cable.open()
    peer.conns[0].text('{"type":"disconnect","reason":"remote","reconnect":false}')
    eventually(lambda: notes.of("dropped") == [("disconnect_remote",)])
    eventually(peer.conns[0].ended.is_set)
    assert (cable.state, receiver.held, len(peer.conns)) == (State.CLOSED, 0, 1)
    cable.open()
    assert cable.is_confirmed


def test_a_cable_that_never_comes_back(server: Server, notes: Notes) -> None:
    """It may still be opened anew by its owner."""
    peer, cable = server(reconnect="never")
    cable.open()
    peer.conns[0].finish()
    eventually(lambda: notes.of("dropped") == [("eof",)])
    assert not cable.is_open
    cable.open()
    assert [gap for _, gap in notes.of("confirmed")] == [None, None]


def test_attempts_to_come_back_follow_the_policy_and_their_failures_are_told(server: Server, notes: Notes) -> None:
    """Each failure has its kind; the gap covers them all."""
    asked: list[str] = []
    took: list[float] = []

    def promptly(reason: str) -> Waits:
        asked.append(reason)
        while True:
            took.append((yield 0.01))

    scripts = iter([unavailable, answers(None), answers(WELCOMED), ordinary])
    peer, cable = server(reconnect=promptly, connect_timeout=0.5, confirm_timeout=0.3)
    cable.open()
    peer.script = lambda conn: next(scripts)(conn)  # noqa: PLW0108 - a script for each connection
    peer.conns[0].finish()
    eventually(lambda: len(notes.of("confirmed")) == 2)
    assert asked == ["eof"]
    assert len(took) == 3
    assert 0 < took[0] < took[2]  # the last of them waited for a confirmation
    assert [kind for kind, _ in notes.of("remote_error")] == ["reconnect_http_503", "reconnect_cut", "reconnect_unconfirmed"]
    assert len(notes.of("unconfirmed")) == 1
    assert (notes.of("dropped"), cable.drops) == ([("eof",)], 1)


def test_a_silent_server_makes_a_cable_stale(peers: Peers, cables: Cables, notes: Notes) -> None:
    """The socket stays open and nothing at all comes, not even a ping: six seconds, as the stock client waits."""
    peer = peers()
    cable = cables(peer, reconnect="never")
    cable.open()
    eventually(lambda: notes.of("dropped"), within=15)
    assert notes.of("dropped") == [("stale",)]
    assert cable.state is State.CLOSED


# Presence.


def test_presence_is_refreshed_and_its_echo_timed(server: Server, notes: Notes) -> None:
    """Each update_presence is answered by the next presence.update."""

    def echoing(conn: Conn) -> None:
        conn.read_request()
        conn.upgrade(glued=WELCOMED)
        conn.wait_for(1)
        conn.text(confirmation())
        for count in range(2, 5):
            conn.wait_for(count)
            conn.text(broadcast("presence.update", {"users": {}}))
        conn.listen()

    peer, cable = server(echoing, presence_every=0.2)
    cable.open()
    eventually(lambda: len(notes.of("presence_echo")) == 3)
    assert all(took > 0 for (took,) in notes.of("presence_echo"))
    assert peer.conns[0].commands[1] == {"command": "message", "identifier": IDENTIFIER, "data": '{"action":"update_presence"}'}
    assert notes.of("deaf") == []


def test_a_pinged_cable_without_echoes_is_deaf_until_one_returns(peers: Peers, cables: Cables, notes: Notes) -> None:
    """It stays open; deaf is told once."""
    peer = peers()
    cable = cables(peer, presence_every=0.2)
    cable.open()
    peer.conns[0].text(PING)
    eventually(lambda: notes.of("deaf"))
    asked = len(peer.conns[0].texts)
    eventually(lambda: len(peer.conns[0].texts) > asked + 1)
    assert len(notes.of("deaf")) == 1
    peer.conns[0].text(broadcast("presence.update", {}))
    eventually(lambda: notes.of("presence_echo"))
    eventually(lambda: len(notes.of("deaf")) == 2)
    assert cable.is_confirmed


# Closing.


def test_closing_is_done_when_it_returns_and_is_no_drop(server: Server, notes: Notes, receiver: Receiver) -> None:
    """It switches to no other greenlet, whatever the peer does, and says goodbye."""
    peer, cable = server()
    cable.open()
    ran: list[bool] = []
    gevent.spawn(ran.append, True)
    cable.close()
    assert ran == []
    assert (cable.state, receiver.held) == (State.CLOSED, 0)
    cable.close()
    eventually(peer.conns[0].ended.is_set)
    assert [payload[:2] for opcode, payload in peer.conns[0].heard if opcode == 8] == [b"\x03\xe8"]
    assert notes.of("dropped") == []


@pytest.mark.parametrize(
    ("script", "state"), [(black_hole, State.CONNECTING), (answers(), State.OPEN), (answers(WELCOMED), State.SUBSCRIBING)]
)
def test_closing_while_another_greenlet_opens_it(server: Server, receiver: Receiver, script: Script, state: State) -> None:
    """The one who waits is told at once, and no socket is left."""
    peer, cable = server(script)
    ended: list[str] = []

    def open_it() -> None:
        with pytest.raises(TransportError) as caught:
            cable.open()
        ended.append(caught.value.kind)

    opening = gevent.spawn(open_it)
    eventually(lambda: peer.conns and cable.state is state)
    cable.close()
    peer.close()
    opening.join(5)
    assert ended == ["cut"]
    assert receiver.held == 0


def test_closing_while_it_tries_to_come_back(server: Server, receiver: Receiver, notes: Notes) -> None:
    """The greenlet that tries is gone with it."""
    peer, cable = server(reconnect=steadily(0.01))
    cable.open()
    peer.script = unavailable
    peer.conns[0].finish()
    eventually(lambda: notes.of("remote_error"))
    trying = cable._greenlet
    assert trying is not None
    cable.close()
    eventually(lambda: trying.dead)
    assert receiver.held == 0
    assert notes.of("failed") == []


def test_closing_from_a_report(peers: Peers, cables: Cables, receiver: Receiver) -> None:
    """Owners close from wherever they are told something: in the hub or in the cable's own greenlet."""

    class Leaving(Notes):
        def __init__(self, report: str) -> None:
            super().__init__()
            self.report = report
            self.cable: Cable | None = None

        def _note(self, name: str, *arguments: object) -> None:
            super()._note(name, *arguments)
            if name == self.report and self.cable is not None:
                self.cable.close()

    for report, script in [("dropped", ordinary), ("marked", ordinary), ("remote_error", unavailable), ("connected", ordinary)]:
        peer, leaving = peers(), Leaving(report)
        leaving.cable = cable = cables(peer, watcher=leaving)
        if report == "connected":
            with pytest.raises(TransportError):
                cable.open()
        else:
            cable.open()
            peer.script = script
            peer.conns[0].text(MARKED)
            peer.conns[0].finish()
        eventually(lambda leaving=leaving, report=report: leaving.of(report))  # type: ignore[misc]
        eventually(lambda: receiver.held == 0)
        assert cable.state is State.CLOSED
        assert leaving.of("failed") == []


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_descriptors_return_to_what_they_were(server: Server, cables: Cables, receiver: Receiver) -> None:
    """Fifty cables opened and closed, some of them broken, leave nothing open on either side."""
    peer, first = server()
    first.open()
    first.close()
    eventually(lambda: all(conn.sock.fileno() == -1 for conn in peer.conns))
    gc.collect()  # a socket that an earlier test left in a cycle must not go while this one counts
    before = descriptors()
    options = {"ssl_context": first._ssl_context}
    opened = [cables(peer, **options) for _ in range(50)]
    for cable in opened:
        cable.open()
    assert descriptors() >= before + 100
    assert receiver.held == 50
    for conn in peer.conns[1:6]:
        conn.finish()
    eventually(lambda: sum(cable.drops for cable in opened) == 5 and all(cable.is_confirmed for cable in opened))
    for cable in opened:
        cable.close()
    eventually(lambda: descriptors() == before)


PATCHED = """
from gevent import monkey
monkey.patch_all()
import ssl, sys
from loadkit.cable.connection import Cable
from loadkit.cable.receiver import Receiver
from tests.cable.notes import Notes
from tests.cable.peer import IDENTIFIER, PING, broadcast
from tests.support import eventually
notes, receiver = Notes(), Receiver(b"lk1:")
context = ssl.create_default_context(cafile=sys.argv[2])
cable = Cable(sys.argv[1], IDENTIFIER, receiver=receiver, watcher=notes, ssl_context=context)
cable.open()
cable.perform("ready")
eventually(lambda: notes.of("marked"))
print(notes.of("marked")[0][3])
cable.close()
receiver.close()
"""


@pytest.mark.parametrize(("tls", "quality"), [(False, "exact"), (True, "user_space")])
def test_a_process_that_gevent_has_patched(peers: Peers, server_tls: ssl.SSLContext, tls: bool, quality: str) -> None:
    """As under Locust: the process's own ssl module makes the context, and epoll is the unpatched one."""

    def script(conn: Conn) -> None:
        conn.read_request()
        conn.upgrade(glued=WELCOMED)
        conn.wait_for(1)
        conn.text(confirmation())
        conn.wait_for(2)
        conn.text(MARKED)
        conn.listen()

    peer = peers(script, tls=server_tls if tls else None)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PATCHED, peer.url, str(CERTIFICATE)], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == (quality, 0), done.stderr
