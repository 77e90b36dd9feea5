"""The cable beyond the recorded walk: handshakes, identifiers, presence, pings, and the end of a server."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest
import websocket

from loadkit.cable import frames
from loadkit.sandbox import Sandbox
from loadkit.sandbox.presence import Presence
from tests.sandbox.client import Customer, Wire, ask, reply
from tests.support import eventually

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def raw_handshake(sandbox: Sandbox, *lines: str, version: str = "HTTP/1.1") -> bytes:
    """Send a handshake of these header lines and return the first bytes of the answer."""
    head = "\r\n".join((f"GET /cable {version}", "Host: x", *lines, "", ""))
    with socket.create_connection(("127.0.0.1", urlsplit(sandbox.url).port), timeout=10) as tcp:
        tcp.sendall(head.encode())
        return tcp.recv(65536)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("actioncable-v1-json", "actioncable-unsupported"), "actioncable-v1-json"),
        (("actioncable-unsupported", "actioncable-v1-json"), "actioncable-unsupported"),
        (("x-actioncable-v1-json", "actioncable-v1-json"), "actioncable-v1-json"),
        ((), None),
    ],
)
def test_the_first_known_subprotocol_is_chosen(sandbox: Sandbox, offered: tuple[str, ...], chosen: str | None) -> None:
    """The first offered one that the server knows, or none; every socket is welcomed."""
    wire = Wire(sandbox.url, protocols=offered)
    assert wire.ws.getsubprotocol() == chosen
    assert eventually(lambda: wire.frames) == [{"type": "welcome"}]
    wire.close()


def test_unknown_subprotocols_and_extensions_are_passed_over(sandbox: Sandbox) -> None:
    """The answer is a 101 with neither header, and nothing but what a handshake needs."""
    answer = raw_handshake(
        sandbox,
        *("Upgrade: websocket", "Connection: keep-alive, Upgrade", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Protocol: graphql-ws", "Sec-WebSocket-Extensions: permessage-deflate"),
    )
    head = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "HTTP/1.1 101 Switching Protocols"
    assert sorted(line.partition(":")[0] for line in head[1:]) == ["Connection", "Sec-WebSocket-Accept", "Upgrade"]


def test_identifiers_are_kept_byte_for_byte(sandbox: Sandbox, customer: Customer) -> None:
    """A respelled identifier is a second subscription, an identical one is ignored; unsubscribing ends one of them."""
    assert customer.wire
    wire, token = customer.wire, customer.contact["pubsub_token"]
    spelled = f'{{ "pubsub_token" : "{token}", "channel":"RoomChannel", "é":"<" }}'
    for _ in range(2):
        wire.say(frames.subscribe(spelled))
    reply(sandbox, customer, "m1")
    wire.settle()
    assert [f["identifier"] for f in wire.frames if f.get("type") == "confirm_subscription"].count(spelled) == 1
    assert customer.hears() == ["m1", "m1"]
    wire.say(frames.unsubscribe(spelled))
    wire.settle()
    reply(sandbox, customer, "m2")
    wire.settle()
    assert customer.hears() == ["m1", "m1", "m2"]


def test_the_accidental_action_doubles_a_subscription_for_good(sandbox: Sandbox, customer: Customer) -> None:
    """After `subscribed` every event comes twice, and once even after unsubscribing."""
    assert customer.wire
    identifier = frames.room_identifier(customer.contact["pubsub_token"])
    customer.wire.say(frames.perform(identifier, "subscribed"))
    customer.wire.settle()
    reply(sandbox, customer, "m1")
    customer.wire.say(frames.unsubscribe(identifier))
    customer.wire.settle()
    reply(sandbox, customer, "m2")
    customer.wire.settle()
    assert customer.hears() == ["m1", "m1", "m2"]


def test_a_bad_token_burns_its_identifier_alone(sandbox: Sandbox, customer: Customer) -> None:
    """Silence for a wrong token, a user's without its id, a wrong account; the socket goes on and takes a good one."""
    user = sandbox.store.users[1]
    wire = Wire(sandbox.url)
    for identifier in (
        frames.room_identifier("x" * 24),
        frames.room_identifier(user.pubsub_token),
        frames.room_identifier(user.pubsub_token, account_id=9, user_id=user.id),
        frames.room_identifier(user.pubsub_token, account_id=1, user_id=99),
        '{"channel":"RoomChannel"}',
        '{"channel":"RoomChannel","pubsub_token":7}',
        "[]",
        "no json",
    ):
        wire.say(frames.subscribe(identifier))
    wire.settle()
    assert wire.frames == [{"type": "welcome"}]
    wire.subscribe(user.pubsub_token, account_id=1, user_id=user.id)
    wire.close()


def test_presence_is_told_to_its_own_token_only(sandbox: Sandbox, customer: Customer) -> None:
    """A customer learns which users are online, a user which contacts are; nobody hears of another's refresh."""
    assert customer.wire
    user = sandbox.store.users[1]
    agent = Wire(sandbox.url)
    agent.subscribe(user.pubsub_token, account_id=1, user_id=user.id)
    customer.wire.say(frames.perform(frames.room_identifier(customer.contact["pubsub_token"]), "update_presence"))
    customer.wire.settle()
    agent.settle()
    contact = str(customer.contact["id"])
    assert [m["data"] for m in customer.wire.events("presence.update")] == [
        {"account_id": 1, "users": {}},
        {"account_id": 1, "users": {"2": "online"}},
    ]
    assert [m["data"] for m in agent.events("presence.update")] == [
        {"account_id": 1, "users": {"2": "online"}, "contacts": {contact: "online"}}
    ]
    agent.close()


def test_presence_lapses(sandbox: Sandbox, customer: Customer) -> None:
    """Whoever does not refresh goes offline after the lifetime; a refresh starts it anew."""
    presence = Presence(lifetime=0.05)
    user, contact = sandbox.store.admin, sandbox.store.contacts[customer.contact["id"]]
    presence.refresh_user(user)
    presence.refresh_contact(contact)
    assert presence.availability(user) == "online"
    eventually(lambda: not presence.is_online(user) and presence.users() == {} and presence.contacts() == {})
    presence.refresh_contact(contact)
    assert presence.contacts() == {str(contact.id): "online"}


def test_all_sockets_are_pinged_in_one_sweep(sandbox: Sandbox) -> None:
    """Every socket gets the same ping, and the next one three seconds of the server's clock later."""
    wires = [Wire(sandbox.url) for _ in range(10)]
    for wire in wires:
        eventually(lambda w=wire: len(w.pings) >= 2, within=10)
    assert {wire.pings[0]["message"] for wire in wires} == {wires[0].pings[0]["message"]}
    assert wires[0].pings[1]["message"] - wires[0].pings[0]["message"] in (3, 4)
    for wire in wires:
        wire.close()


def test_typing_reaches_everybody_but_the_typist(sandbox: Sandbox, customer: Customer) -> None:
    """The customer's typing is seen by agents, an agent's by the customer, private or not."""
    assert customer.wire
    user = sandbox.store.users[1]
    agent = Wire(sandbox.url)
    agent.subscribe(user.pubsub_token, account_id=1, user_id=user.id)
    ask(sandbox.url, "POST", customer.messages.replace("messages", "toggle_typing"), {"typing_status": "on"})
    ask(sandbox.url, "POST", customer.messages.replace("messages", "toggle_typing"), {"typing_status": "loudly"})
    path = f"/api/v1/accounts/1/conversations/{customer.conversation}/toggle_typing_status"
    headers = {"Api-Access-Token": sandbox.agent_tokens[0]}
    ask(sandbox.url, "POST", path, {"typing_status": "off", "is_private": "true"}, headers=headers)
    agent.settle()
    customer.wire.settle()
    assert [m["event"] for m in agent.events() if "typing" in m["event"]] == ["conversation.typing_on"]
    typed = [m for m in customer.wire.events() if "typing" in m["event"]]
    assert [(m["event"], m["data"]["is_private"]) for m in typed] == [("conversation.typing_off", "true")]
    agent.close()


def test_a_close_is_answered_with_its_own_code(sandbox: Sandbox) -> None:
    """Code and reason of a client's close come back, then TCP ends."""
    wire = websocket.create_connection(sandbox.url.replace("http", "ws") + "/cable", timeout=10)
    wire.recv()
    wire.send(b"\x0f\xa1bye", opcode=websocket.ABNF.OPCODE_CLOSE)
    opcode, data = wire.recv_data(control_frame=True)
    assert (opcode, data) == (websocket.ABNF.OPCODE_CLOSE, b"\x0f\xa1bye")
    wire.shutdown()


def test_a_stop_drops_tcp(sandbox: Sandbox) -> None:
    """When the server ends, its sockets end without a close frame, and its port refuses."""
    wire = Wire(sandbox.url)
    eventually(lambda: wire.frames)
    sandbox.stop()
    assert eventually(lambda: wire.ended).startswith("dropped")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(sandbox.url).port), timeout=5)


def test_one_socket_may_hold_many_subscriptions(sandbox: Sandbox) -> None:
    """Each identifier of a socket hears its own token."""
    customers = [Customer(sandbox, connected=False) for _ in range(3)]
    wire = Wire(sandbox.url)
    identifiers = [wire.subscribe(each.contact["pubsub_token"]) for each in customers]
    for number, each in enumerate(customers):
        reply(sandbox, each, f"m{number}")
    wire.settle()
    heard = [f for f in wire.frames if f.get("message", {}).get("event") == "message.created"]
    assert [(f["identifier"], f["message"]["data"]["echo_id"]) for f in heard] == [
        (identifier, f"m{number}") for number, identifier in enumerate(identifiers)
    ]
    assert json.loads(ask(sandbox.control, "GET", "/state").body)["subscriptions"] == 3
    wire.close()
