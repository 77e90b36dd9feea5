"""One suite for two servers: what Rails' own Action Cable does on the wire, the sandbox does too.

Where the two differ the sandbox is wrong. Sockets are raw here: loadkit's own client meets both in `test_cable_client.py`, the
websocket underneath is held against Rails in `test_cable_websocket.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from loadkit.cable import frames
from tests.conformance.servers import Server
from tests.sandbox.client import Wire
from tests.support import eventually

Wires = Callable[..., Wire]
UNKNOWN = frames.room_identifier("x" * 24)


def heard(wire: Wire, identifier: str) -> list[str]:
    """Return what came for an identifier: the types of its frames, and the markers of its messages."""
    mine = [frame for frame in wire.frames if frame.get("identifier") == identifier]
    events = [frame.get("message", {}) for frame in mine]
    return [
        frame.get("type") or message["data"]["echo_id"]
        for frame, message in zip(mine, events, strict=True)
        if "type" in frame or message["event"] == "message.created"
    ]


def settle(server: Server, wire: Wire) -> set[str]:
    """Return when all that was said and broadcast before has had its effect: two more identifiers, named here, went the whole way."""
    taken = set()
    for _ in range(2):
        token = server.token()
        identifier = wire.subscribe(token)
        server.broadcast(token, "settled")
        eventually(lambda identifier=identifier: "settled" in heard(wire, identifier))
        taken.add(identifier)
    return taken


def presences(wire: Wire) -> int:
    return len(wire.events("presence.update"))


# Frames.


def test_frames_have_their_keys_in_order(server: Server, wires: Wires) -> None:
    """Welcome, confirmation, ping and data are spelled alike to the order of their keys."""
    wire, token = wires(server), server.token()
    identifier = wire.subscribe(token)
    server.broadcast(token, "m1")
    eventually(lambda: "m1" in heard(wire, identifier))
    data = next(frame for frame in wire.frames if frame.get("message", {}).get("event") == "message.created")
    ping = eventually(lambda: wire.pings, within=10)[0]
    confirmed = next(frame for frame in wire.frames if frame.get("type") == "confirm_subscription")
    assert wire.frames[0] == {"type": "welcome"}
    assert [list(each) for each in (confirmed, ping, data)] == [["identifier", "type"], ["type", "message"], ["identifier", "message"]]
    assert list(data["message"])[:2] == ["event", "data"]
    assert type(ping["message"]) is int


def test_all_sockets_are_pinged_in_one_sweep(server: Server, wires: Wires) -> None:
    """Every socket gets the same pings, three seconds of the server's clock apart."""
    held = [wires(server) for _ in range(5)]
    for wire in held:
        eventually(lambda wire=wire: len(wire.pings) >= 2, within=10)
    said = [[ping["message"] for ping in wire.pings] for wire in held]
    latest = max(first for first, *_ in said)  # a sweep may have come while they connected
    assert {next(each for each in pings if each >= latest) for pings in said} == {latest}
    assert {pings[1] - pings[0] for pings in said} <= {3, 4}


# Subscriptions.


def test_identifiers_are_kept_byte_for_byte(server: Server, wires: Wires) -> None:
    """Respelled identifiers are subscriptions of their own, confirmed verbatim, and each brings a copy until it is unsubscribed."""
    wire, token = wires(server), server.token()
    plain = frames.room_identifier(token)
    turned = f'{{"pubsub_token":"{token}","channel":"RoomChannel"}}'
    spaced = f'{{ "channel" : "RoomChannel", "pubsub_token" : "{token}", "é" : "<&>\u2028" }}'
    for identifier in (plain, turned, spaced):
        wire.say(frames.subscribe(identifier))
        eventually(lambda identifier=identifier: heard(wire, identifier) == ["confirm_subscription"])
    server.broadcast(token, "m1")
    eventually(lambda: all("m1" in heard(wire, identifier) for identifier in (plain, turned, spaced)))
    wire.say(frames.unsubscribe(turned))
    settle(server, wire)
    server.broadcast(token, "m2")
    settle(server, wire)
    both = ["confirm_subscription", "m1", "m2"]
    assert [heard(wire, identifier) for identifier in (plain, turned, spaced)] == [both, ["confirm_subscription", "m1"], both]


def test_a_duplicate_subscribe_is_ignored(server: Server, wires: Wires) -> None:
    """The same identifier again brings neither a confirmation nor a second copy."""
    wire, token = wires(server), server.token()
    identifier = wire.subscribe(token)
    for _ in range(3):
        wire.say(frames.subscribe(identifier))
    settle(server, wire)
    server.broadcast(token, "m1")
    settle(server, wire)
    assert heard(wire, identifier) == ["confirm_subscription", "m1"]


def test_an_unsubscribed_identifier_hears_nothing_until_it_comes_back(server: Server, wires: Wires) -> None:
    """Unsubscribing is not acknowledged; a new subscribe is confirmed anew."""
    wire, token = wires(server), server.token()
    identifier = wire.subscribe(token)
    for marker in ("m1", "m2"):
        server.broadcast(token, marker)
        settle(server, wire)
        wire.say(frames.unsubscribe(identifier))
        settle(server, wire)
        server.broadcast(token, "missed")
        settle(server, wire)
        wire.say(frames.subscribe(identifier))
        eventually(lambda marker=marker: heard(wire, identifier)[-2:] == [marker, "confirm_subscription"])
    assert heard(wire, identifier) == ["confirm_subscription", "m1", "confirm_subscription", "m2", "confirm_subscription"]


def test_silence_where_subscribing_fails(server: Server, wires: Wires) -> None:
    """A token that is not known burns its identifier, again and again; the socket goes on, is pinged and takes a good one."""
    wire = wires(server)
    for _ in range(3):
        wire.say(frames.subscribe(UNKNOWN))
        settle(server, wire)
    assert heard(wire, UNKNOWN) == []
    wire.say(frames.perform(UNKNOWN, "no_such_action"))
    wire.say(frames.unsubscribe(UNKNOWN))
    settle(server, wire)
    wire.say(frames.subscribe(UNKNOWN))
    settle(server, wire)
    assert heard(wire, UNKNOWN) == []
    eventually(lambda: wire.pings, within=10)


# Actions and broadcasts.


def test_a_performed_action_is_heard_by_every_socket_of_its_token(server: Server, wires: Wires) -> None:
    """`update_presence` has no answer of its own: its broadcast goes to whoever subscribed to the token."""
    token = server.token()
    mine, mirror, other = wires(server), wires(server), wires(server)
    for wire, its in ((mine, token), (mirror, token), (other, server.token())):
        wire.subscribe(its)
        settle(server, wire)
    before = [presences(wire) for wire in (mine, mirror, other)]
    mine.say(frames.perform(frames.room_identifier(token), "update_presence"))
    eventually(lambda: presences(mine) > before[0] and presences(mirror) > before[1])
    count = len(other.frames)
    other.settle()
    assert [presences(wire) for wire in (mine, mirror)] == [before[0] + 1, before[1] + 1]
    assert len(other.frames) == count


def test_the_accidental_action_doubles_a_subscription_for_good(server: Server, wires: Wires) -> None:
    """`subscribed` can be called like an action: no confirmation, every event twice, and one copy even after unsubscribing."""
    wire, token = wires(server), server.token()
    identifier = wire.subscribe(token)
    wire.say(frames.perform(identifier, "subscribed"))
    settle(server, wire)
    server.broadcast(token, "m1")
    settle(server, wire)
    wire.say(frames.unsubscribe(identifier))
    settle(server, wire)
    server.broadcast(token, "m2")
    settle(server, wire)
    assert heard(wire, identifier) == ["confirm_subscription", "m1", "m1", "m2"]


def test_a_broadcast_reaches_all_of_many_and_nobody_else(server: Server, wires: Wires) -> None:
    """Forty sockets of one token hear three messages each, once; five of other tokens hear nothing."""
    token = server.token()
    many, others = [wires(server) for _ in range(40)], [wires(server) for _ in range(5)]
    for wire in many:
        wire.subscribe(token)
    theirs = [wire.subscribe(server.token()) for wire in others]
    for marker in ("m1", "m2", "m3"):
        server.broadcast(token, marker)
    identifier, wanted = frames.room_identifier(token), ["confirm_subscription", "m1", "m2", "m3"]
    for wire in many:
        eventually(lambda wire=wire: sorted(heard(wire, identifier)) == wanted)
    settle(server, others[0])
    for wire in (*many, *others):
        wire.settle()
    assert all(sorted(heard(wire, identifier)) == wanted for wire in many)
    assert [heard(wire, its) for wire, its in zip(others, theirs, strict=True)] == [["confirm_subscription"]] * 5


MISUSE = {
    "an unknown command": lambda mine: '{"command":"shout","identifier":' + json.dumps(mine) + "}",
    "no command": lambda mine: "{}",
    "no JSON": lambda mine: "hello",
    "nothing": lambda mine: "",
    "null": lambda mine: "null",
    "a list": lambda mine: "[1]",
    "a number": lambda mine: "7",
    "no identifier": lambda mine: '{"command":"subscribe"}',
    "an object for an identifier": lambda mine: '{"command":"subscribe","identifier":' + mine + "}",
    "an identifier that is no JSON": lambda mine: frames.subscribe("room"),
    "an identifier that is a list": lambda mine: frames.subscribe("[]"),
    "an unknown channel": lambda mine: frames.subscribe('{"channel":"AttackChannel"}'),
    "a class that is no channel": lambda mine: frames.subscribe('{"channel":"String"}'),
    "no channel": lambda mine: frames.subscribe("{}"),
    "no token": lambda mine: frames.subscribe('{"channel":"RoomChannel"}'),
    "a number for a token": lambda mine: frames.subscribe('{"channel":"RoomChannel","pubsub_token":7}'),
    "performing before subscribing": lambda mine: frames.perform(UNKNOWN, "update_presence"),
    "unsubscribing before subscribing": lambda mine: frames.unsubscribe(UNKNOWN),
    "an unknown action": lambda mine: frames.perform(mine, "shout"),
    "an action that is not public": lambda mine: frames.perform(mine, "stream_from"),
    "the action receive": lambda mine: frames.perform(mine, "receive"),
    "data that is no JSON": lambda mine: '{"command":"message","identifier":' + json.dumps(mine) + ',"data":"x"}',
    "data that is an object": lambda mine: '{"command":"message","identifier":' + json.dumps(mine) + ',"data":{"action":"shout"}}',
    "no data": lambda mine: '{"command":"message","identifier":' + json.dumps(mine) + "}",
}


@pytest.mark.parametrize("misuse", MISUSE)
def test_misuse_is_met_with_silence(server: Server, wires: Wires, misuse: str) -> None:
    """No frame, no close: the subscription that stood before goes on, and the socket takes others."""
    wire, token = wires(server), server.token()
    mine = wire.subscribe(token)
    wire.say(MISUSE[misuse](mine))
    others = settle(server, wire)
    server.broadcast(token, "m1")
    others |= settle(server, wire)
    assert heard(wire, mine) == ["confirm_subscription", "m1"]
    assert {frame.get("identifier") for frame in wire.frames[1:]} == {mine} | others


def test_binary_messages_are_ignored(server: Server, wires: Wires) -> None:
    """Not even one that would be a good command as text."""
    wire, identifier = wires(server), frames.room_identifier(server.token())
    wire.ws.send_binary(frames.subscribe(identifier).encode())
    settle(server, wire)
    assert heard(wire, identifier) == []
    assert wire.ended is None


# The end of a server.


def test_a_stop_drops_tcp_without_a_word(server: Server, wires: Wires) -> None:
    """When the server ends, its sockets end without a close frame."""
    wire = wires(server)
    wire.subscribe(server.token())
    server.restart()
    assert eventually(lambda: wire.ended, within=10).startswith("dropped")
    assert wire.close_code is None


def test_a_reload_says_so_and_closes(server: Server, wires: Wires) -> None:
    """Every socket gets a `disconnect` frame and a close with code 1000; the server goes on."""
    held = [wires(server) for _ in range(3)]
    for wire in held[:2]:
        wire.subscribe(server.token())
    eventually(lambda: held[2].frames)
    server.disconnect()
    for wire in held:
        eventually(lambda wire=wire: wire.ended)
        assert wire.frames[-1] == {"type": "disconnect", "reason": "server_restart", "reconnect": True}
        assert list(wire.frames[-1]) == ["type", "reason", "reconnect"]
        assert wire.close_code == 1000
    wires(server).subscribe(server.token())


def test_a_restart_of_redis_leaves_a_server_deaf(server: Server, wires: Wires) -> None:
    """Pings go on and broadcasts are accepted, yet nothing arrives; a known token is still confirmed, a new one is not."""
    wire, token = wires(server), server.token()
    mine = wire.subscribe(token)
    new = server.token()
    server.lose_redis()
    try:
        assert server.broadcast(token, "m1") == 200
        later, unheard = wires(server), frames.room_identifier(new)
        later.say(frames.subscribe(unheard))
        spelled = [f'{{"channel":"RoomChannel","pubsub_token":"{token}","n":{n}}}' for n in range(5)]
        for identifier in spelled:
            later.say(frames.subscribe(identifier))
            eventually(lambda identifier=identifier: heard(later, identifier) == ["confirm_subscription"])
        assert server.broadcast(token, "m2") == 200
        pings = len(wire.pings)
        eventually(lambda: len(wire.pings) > pings and later.pings, within=10)
        assert heard(wire, mine) == ["confirm_subscription"]
        assert [heard(later, identifier) for identifier in (*spelled, unheard)] == [["confirm_subscription"]] * 5 + [[]]
    finally:
        server.restart()
    wires(server).subscribe(server.token())
