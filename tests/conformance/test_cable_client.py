"""loadkit's own cable against Rails' Action Cable and against the sandbox: it must not be able to tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loadkit.cable import frames
from loadkit.cable.connection import Cable
from loadkit.cable.protocol import State
from loadkit.errors import RemoteProtocolError, TransportError
from tests.cable.notes import Notes
from tests.conformance.servers import Server
from tests.support import eventually

Cables = Callable[..., Cable]
MARKER = "lk1:conformance:1"


def marked(notes: Notes) -> list[tuple[Any, ...]]:
    return notes.of("marked")


def created(notes: Notes) -> int:
    """Return how many marked messages came; what else repeats a marker is not one."""
    return [event for _, event, *_ in marked(notes)].count("message.created")


def test_a_cable_opens_hears_and_performs(server: Server, cables: Cables, notes: Notes) -> None:
    """Connected once, confirmed once, every broadcast handed over, presence echoed, and nothing found wrong."""
    token = server.token()
    cable = cables(server, frames.room_identifier(token), presence_every=0.5)
    cable.open()
    for number in range(5):
        server.broadcast(token, f"{MARKER}{number}")
    eventually(lambda: created(notes) >= 5)
    eventually(lambda: notes.of("presence_echo"))
    assert created(notes) == 5
    assert [len(notes.of(name)) for name in ("connected", "confirmed", "dropped", "remote_error", "failed", "deaf")] == [1, 1, 0, 0, 0, 0]


def test_a_bad_token_is_never_confirmed(server: Server, cables: Cables, notes: Notes) -> None:
    """Silence ends with the time allowed for a confirmation."""
    cable = cables(server, frames.room_identifier("x" * 24), confirm_timeout=0.5)
    with pytest.raises(TransportError) as raised:
        cable.open()
    assert raised.value.kind == "unconfirmed"
    assert len(notes.of("unconfirmed")) == 1


def test_a_cable_comes_back_after_a_restart(server: Server, cables: Cables, notes: Notes) -> None:
    """The drop is noticed once, the same identifier is confirmed again, and the gap is told."""
    cable = cables(server, server.lasting())
    cable.open()
    server.restart()
    eventually(lambda: len(notes.of("confirmed")) == 2, within=15)
    ((reason,),) = notes.of("dropped")
    (_, no_gap), (_, gap_us) = notes.of("confirmed")
    assert reason in ("eof", "reset")
    assert no_gap is None
    assert gap_us > 0
    assert cable.drops == 1


def test_a_cable_that_was_sent_away_comes_back(server: Server, cables: Cables, notes: Notes) -> None:
    """A `disconnect` frame is taken at its word, before the close."""
    token = server.token()
    cable = cables(server, frames.room_identifier(token))
    cable.open()
    server.disconnect()
    eventually(lambda: len(notes.of("confirmed")) == 2)
    assert notes.of("dropped") == [("disconnect_server_restart",)]
    server.broadcast(token, MARKER)
    eventually(lambda: marked(notes))


def test_a_deaf_server_is_found_out(server: Server, cables: Cables, notes: Notes) -> None:
    """Pinged, yet without an echo for two periods: told once, and the cable stays."""
    cable = cables(server, frames.room_identifier(server.token()), presence_every=0.5)
    cable.open()
    eventually(lambda: notes.of("presence_echo"))
    server.lose_redis()
    try:
        eventually(lambda: notes.of("deaf"), within=10)
        assert notes.of("deaf") == [()]
        assert notes.of("dropped") == []
        cable.close()
    finally:
        server.restart()


def test_a_closed_cable_is_gone_from_the_server(server: Server, cables: Cables, notes: Notes) -> None:
    """After closing and opening anew there is one subscription, not two."""
    token = server.token()
    cable = cables(server, frames.room_identifier(token))
    for _ in range(3):
        cable.open()
        cable.close()
    cable.open()
    server.broadcast(token, MARKER)
    eventually(lambda: marked(notes))
    server.broadcast(token, MARKER + "end")
    eventually(lambda: any(MARKER.encode() + b"end" in payload for payload, *_ in marked(notes)))
    assert created(notes) == 2


# What OneHash Chat, and so the sandbox, never does; other applications may.


def test_a_rejection_is_an_error_of_its_own(rails: Server, cables: Cables, notes: Notes) -> None:
    """It ends the attempt at once, every time: a rejected identifier is not burnt."""
    cable = cables(rails, '{"channel":"RejectingChannel"}')
    for _ in range(2):
        with pytest.raises(RemoteProtocolError) as raised:
            cable.open()
        assert raised.value.kind == "rejected"
    assert cable.state is State.CLOSED


def test_an_unauthorized_cable_is_sent_away(rails: Server, cables: Cables, notes: Notes) -> None:
    """`disconnect` instead of a welcome, never to come back."""
    cable = cables(rails, frames.room_identifier(rails.token()), path="/cable?unauthorized=1")
    with pytest.raises(TransportError) as raised:
        cable.open()
    assert raised.value.kind == "cut"
    assert (cable.state, notes.of("connected"), notes.of("dropped")) == (State.CLOSED, [], [])
