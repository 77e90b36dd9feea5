"""What a client does wrong over the cable: the server is silent, the socket stays open, and the next right command works."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import websocket

from loadkit.cable import frames
from loadkit.sandbox import Sandbox
from loadkit.sandbox.pipeline import Pipeline
from loadkit.sandbox.service import Service
from tests.sandbox.client import Customer, Wire, reply
from tests.support import eventually

MINE = "{identifier}"
SILENT: dict[str, Any] = {
    "unknown command": {"command": "zzz", "identifier": MINE},
    "no command": {"identifier": MINE},
    "command is no text": {"command": ["subscribe"], "identifier": MINE},
    "not json": "not json",
    "empty": "",
    "a list": [1, 2],
    "a number": 7,
    "null": None,
    "identifier as an object": {"command": "subscribe", "identifier": {"channel": "RoomChannel"}},
    "identifier missing": {"command": "subscribe"},
    "identifier that is no json": {"command": "subscribe", "identifier": "{"},
    "identifier that is no object": {"command": "subscribe", "identifier": "[]"},
    "unknown channel": {"command": "subscribe", "identifier": '{"channel":"NopeChannel"}'},
    "no channel": {"command": "subscribe", "identifier": "{}"},
    "subscribed already": {"command": "subscribe", "identifier": MINE},
    "perform on an unknown identifier": {"command": "message", "identifier": "{}", "data": '{"action":"update_presence"}'},
    "unsubscribe of an unknown identifier": {"command": "unsubscribe", "identifier": "{}"},
    "unknown action": {"command": "message", "identifier": MINE, "data": '{"action":"nope"}'},
    "receive is no action": {"command": "message", "identifier": MINE, "data": '{"action":"receive"}'},
    "no action": {"command": "message", "identifier": MINE, "data": "{}"},
    "data that is no json": {"command": "message", "identifier": MINE, "data": "{"},
    "data as an object": {"command": "message", "identifier": MINE, "data": {"action": "update_presence"}},
    "data missing": {"command": "message", "identifier": MINE},
}


@pytest.mark.parametrize("wrong", SILENT.values(), ids=SILENT.keys())
def test_what_is_wrong_is_met_with_silence(sandbox: Sandbox, customer: Customer, wrong: Any) -> None:
    """Nothing is sent, nothing is closed, and the subscription goes on."""
    assert customer.wire
    wire, identifier = customer.wire, frames.room_identifier(customer.contact["pubsub_token"])
    if isinstance(wrong, dict) and wrong.get("identifier") == MINE:
        wrong = wrong | {"identifier": identifier}
    wire.settle()
    before = len(wire.frames)
    wire.say(wrong if isinstance(wrong, str) else json.dumps(wrong))
    wire.settle()
    assert wire.frames[before:] == []
    reply(sandbox, customer, "m")
    wire.settle()
    assert (customer.hears(), wire.ended) == (["m"], None)


def test_binary_frames_are_passed_over(sandbox: Sandbox, customer: Customer) -> None:
    """Even where they hold a right command."""
    assert customer.wire
    before = len(customer.wire.frames)
    identifier = frames.room_identifier(customer.contact["pubsub_token"])
    customer.wire.ws.send(frames.unsubscribe(identifier).encode(), opcode=websocket.ABNF.OPCODE_BINARY)
    reply(sandbox, customer, "m")
    customer.wire.settle()
    assert customer.hears() == ["m"]
    assert len(customer.wire.frames) > before


def test_subscribing_again_after_unsubscribing_confirms_again(sandbox: Sandbox, customer: Customer) -> None:
    """With a presence frame of its own."""
    assert customer.wire
    identifier = frames.room_identifier(customer.contact["pubsub_token"])
    for command in (frames.unsubscribe(identifier), frames.subscribe(identifier)):
        customer.wire.say(command)
    customer.wire.settle()
    kinds = [frame.get("type") or frame["message"]["event"] for frame in customer.wire.frames]
    assert kinds == ["welcome", *["confirm_subscription", "presence.update"] * 2]


def test_the_presence_of_a_respelled_identifier_comes_under_both(sandbox: Sandbox, customer: Customer) -> None:
    """The second subscription's own frame is a broadcast to the token, so the first hears it too."""
    assert customer.wire
    customer.wire.say(frames.subscribe(f'{{"pubsub_token":"{customer.contact["pubsub_token"]}","channel":"RoomChannel"}}'))
    customer.wire.settle()
    presence = [f["identifier"] for f in customer.wire.frames if f.get("message", {}).get("event") == "presence.update"]
    assert (len(presence), len(set(presence))) == (3, 2)


def test_what_is_sent_before_the_welcome_is_done_after_it(sandbox: Sandbox) -> None:
    """A subscription that leaves with the handshake is confirmed."""
    customer = Customer(sandbox, connected=False)
    wire = Wire(sandbox.url)
    wire.say(frames.subscribe(frames.room_identifier(customer.contact["pubsub_token"])))
    eventually(lambda: len(wire.frames) >= 3)
    assert [f.get("type") for f in wire.frames[:2]] == ["welcome", "confirm_subscription"]
    wire.close()


def test_commands_back_to_back_may_overtake_each_other() -> None:
    """They are tasks of a pool: of many pairs some come in the other order, most do not."""
    pipeline, done = Pipeline(Service.parse("constant:20ms"), http_threads=1, jobs=1, seed=1), []
    pairs = 200
    for pair in range(pairs):
        for which in ("first", "second"):
            pipeline.command(partial(done.append, (pair, which)))
    eventually(lambda: len(done) == 2 * pairs, within=20)
    overtaken = sum(done.index((pair, "second")) < done.index((pair, "first")) for pair in range(pairs))
    assert 0 < overtaken < pairs / 2
