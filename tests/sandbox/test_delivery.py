"""Every fault as it reaches the customer, held against the truth file: counts are exact."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import websocket

from loadkit.cable import frames
from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, Wire, agent_path, ask, reply, staff, truth
from tests.sandbox.conftest import Make
from tests.support import eventually

REPLIES = 60
KEYS = [
    *("marker", "message_id", "conversation_id", "subscription", "agent", "request_id", "status", "fault", "held_s"),
    *("requested", "saved", "answered", "written"),
]


def by_marker(sandbox: Sandbox, count: int) -> dict[str, dict[str, Any]]:
    """Return the lines of the truth by marker."""
    return {row["marker"]: row for row in truth(sandbox, count)}


def state(sandbox: Sandbox) -> Any:
    return ask(sandbox.control, "GET", "/state").json()


def set_faults(sandbox: Sandbox, **values: str) -> None:
    assert ask(sandbox.control, "PUT", "/faults", values).status == 200


def test_a_plain_reply_has_a_whole_line(sandbox: Sandbox, customer: Customer) -> None:
    """Without a fault the line says what happened when, in both clocks and in the order in which it must have happened."""
    answer = reply(sandbox, customer, "m1")
    row = by_marker(sandbox, 1)["m1"]
    assert list(row) == KEYS
    assert (row["message_id"], row["status"], row["fault"], row["held_s"]) == (answer.json()["id"], 200, None, None)
    assert (row["conversation_id"], row["subscription"]) == (customer.conversation, customer.contact["source_id"])
    assert row["request_id"] == answer.headers["x-request-id"]
    assert row["agent"] == 2
    assert [written["to"] for written in row["written"]] == [customer.contact["source_id"]]
    stamps = [row["requested"], row["saved"], row["written"][0], row["answered"]]
    assert stamps == sorted(stamps, key=lambda each: each["mono_us"])
    offsets = [each["unix_us"] - each["mono_us"] for each in stamps]
    assert max(offsets) - min(offsets) < 1_000_000


def test_refused_attempts_have_lines_too(sandbox: Sandbox, customer: Customer) -> None:
    """Whatever refuses a reply, its line says so; private notes and the customer's own words have none."""
    headers = {"Api-Access-Token": sandbox.agent_tokens[0]}
    path = agent_path(customer)
    ask(sandbox.url, "POST", path, {"content": "x", "echo_id": "no token"})
    ask(sandbox.url, "POST", "/api/v1/accounts/1/conversations/99/messages", {"echo_id": "no conversation"}, headers=headers)
    ask(sandbox.url, "POST", path, {"content": "x" * 150_001, "echo_id": "too long"}, headers=headers)
    reply(sandbox, customer, "note", private=True)
    reply(sandbox, customer, "spoken for", message_type="incoming")
    reply(sandbox, customer, "good")
    rows = by_marker(sandbox, 4)
    assert {marker: row["status"] for marker, row in rows.items()} == {
        "no token": 401,
        "no conversation": 404,
        "too long": 422,
        "good": 200,
    }
    assert [row["saved"] for marker, row in rows.items() if marker != "good"] == [None] * 3


def test_all_faults_at_once_are_exact_in_the_truth_and_on_the_wire(make: Make) -> None:
    """Of sixty replies each fault takes its number, and the customers hear exactly what the truth says was written."""
    exact = dict.fromkeys(("drop", "duplicate", "misroute", "429", "5xx"), f"3of{REPLIES}")
    sandbox = make(faults=[f"{name}={value}" for name, value in exact.items()] + [f"delay=3of{REPLIES}:50ms"])
    customers = [Customer(sandbox) for _ in range(3)]
    for number in range(REPLIES):
        reply(sandbox, customers[number % 3], f"m{number}")
    rows = by_marker(sandbox, REPLIES)
    assert Counter(row["fault"] for row in rows.values()) == {**dict.fromkeys([*exact, "delay"], 3), None: REPLIES - 18}
    written = {
        each.contact["source_id"]: Counter(
            row["marker"] for row in rows.values() for w in row["written"] if w["to"] == each.contact["source_id"]
        )
        for each in customers
    }
    for each in customers:
        assert each.wire
        each.wire.settle()
        assert Counter(each.hears()) == written[each.contact["source_id"]]
        each.wire.close()
    for row in rows.values():
        copies, at_home = len(row["written"]), all(w["to"] == row["subscription"] for w in row["written"])
        assert copies == {"drop": 0, "429": 0, "5xx": 0, "duplicate": 2}.get(row["fault"], 1)
        assert at_home == (row["fault"] != "misroute")
        assert (row["held_s"] is not None) == (row["fault"] == "delay")
        assert row["status"] == {"429": 429, "5xx": 500}.get(row["fault"], 200)
        assert (row["message_id"] is None) == (row["status"] != 200)
    counts = state(sandbox)["replies"]
    assert counts == {"total": REPLIES, "by_fault": dict.fromkeys(sorted([*exact, "delay"]), 3) | counts["by_fault"]}


def test_a_swapped_reply_comes_after_the_next_one(make: Make) -> None:
    """The held frame follows the next public message of its conversation; both lines are right."""
    sandbox = make(faults=["swap=1of1:20s"])
    customer = Customer(sandbox)
    reply(sandbox, customer, "first")
    reply(sandbox, customer, "second")
    rows = by_marker(sandbox, 2)
    assert customer.wire
    customer.wire.settle()
    assert customer.hears() == ["second", "first"]
    assert (rows["first"]["fault"], rows["second"]["fault"]) == ("swap", None)
    assert rows["first"]["written"][0]["mono_us"] >= rows["second"]["written"][0]["mono_us"]
    assert rows["first"]["held_s"] > 0
    customer.wire.close()


def test_the_customers_own_words_overtake_too(make: Make) -> None:
    """The next public message may be the customer's own."""
    sandbox = make(faults=["swap=1of1:20s"])
    customer = Customer(sandbox)
    reply(sandbox, customer, "held")
    customer.says("hello?")
    assert by_marker(sandbox, 1)["held"]["fault"] == "swap"
    assert customer.wire
    customer.wire.settle()
    kinds = [message["data"]["message_type"] for message in customer.wire.events("message.created")]
    assert kinds == [0, 1]
    customer.wire.close()


def test_a_swap_that_nothing_overtakes_is_a_delay(make: Make) -> None:
    """After its bound the frame is written anyway, and the truth calls it delayed."""
    sandbox = make(faults=["swap=1of1:60ms"])
    customer = Customer(sandbox)
    reply(sandbox, customer, "alone")
    row = by_marker(sandbox, 1)["alone"]
    assert (row["fault"], len(row["written"])) == ("delay", 1)
    assert row["held_s"] >= 0.06
    assert customer.wire
    customer.wire.close()


def test_a_disconnect_cuts_instead_of_writing(make: Make) -> None:
    """The customer's TCP ends without a close frame; after coming back the next reply arrives."""
    sandbox = make(faults=["disconnect=1of2"], seed=1)
    customer = Customer(sandbox)
    markers = []
    for number in range(2):
        markers.append(f"m{number}")
        reply(sandbox, customer, markers[-1])
        row = by_marker(sandbox, number + 1)[markers[-1]]
        assert customer.wire
        if row["fault"] == "disconnect":
            wire = customer.wire
            assert eventually(lambda w=wire: w.ended, within=5).startswith("dropped")
            assert row["written"] == []
            customer.connect()
    customer.wire.close()
    assert Counter(row["fault"] for row in by_marker(sandbox, 2).values()) == {"disconnect": 1, None: 1}


@pytest.mark.parametrize(("fault", "status", "kind"), [("5xx=100%", 500, "application/json"), ("5xx=100%:502", 502, "text/html")])
def test_a_refusing_fault_makes_no_message(make: Make, fault: str, status: int, kind: str) -> None:
    """The answer is the framework's 500 or a proxy's page, and the conversation stays empty."""
    sandbox = make(faults=[fault])
    customer = Customer(sandbox, connected=False)
    answer = reply(sandbox, customer, "m")
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (status, kind)
    assert ask(sandbox.url, "GET", customer.messages).json() == []


def test_a_reply_to_nobody_says_so(sandbox: Sandbox) -> None:
    """Without a socket of the customer nothing is written, and the truth names the reason."""
    customer = Customer(sandbox, connected=False)
    reply(sandbox, customer, "m")
    row = by_marker(sandbox, 1)["m"]
    assert (row["fault"], row["written"], row["status"]) == ("no_socket", [], 200)


def test_exact_faults_wait_for_a_reply_that_can_have_them(make: Make) -> None:
    """A duplicate drawn for a customer without a socket goes to the next reply that has one."""
    sandbox = make(faults=["duplicate=1of1"])
    away, here = Customer(sandbox, connected=False), Customer(sandbox)
    reply(sandbox, away, "away")
    reply(sandbox, here, "here")
    assert {marker: row["fault"] for marker, row in by_marker(sandbox, 2).items()} == {"away": "no_socket", "here": "duplicate"}
    assert here.wire
    here.wire.close()


def test_a_socket_that_is_done_is_not_broken_again(make: Make) -> None:
    """A closed socket whose peer has not noticed is nobody's: the disconnect drawn for it goes to the next reply that has one."""
    sandbox = make(faults=["disconnect=1of1"])
    customer = Customer(sandbox, connected=False)
    still = websocket.create_connection(sandbox.url.replace("http", "ws", 1) + "/cable", timeout=30)
    still.recv()
    still.send(frames.subscribe(frames.room_identifier(customer.contact["pubsub_token"])))
    eventually(lambda: "confirm_subscription" in still.recv())
    assert ask(sandbox.control, "POST", "/close").json() == {"closed": 1}
    assert state(sandbox)["subscriptions"] == 1  # nobody reads the close frame, so TCP is still there
    reply(sandbox, customer, "after the close")
    assert state(sandbox)["subscriptions"] == 1
    wire = customer.connect()
    reply(sandbox, customer, "on a new one")
    faults = {marker: row["fault"] for marker, row in by_marker(sandbox, 2).items()}
    assert faults == {"after the close": "no_socket", "on a new one": "disconnect"}
    eventually(lambda: wire.ended)
    still.shutdown()


def test_a_deaf_server_looks_healthy(sandbox: Sandbox, customer: Customer) -> None:
    """Posts answer 200, known tokens are confirmed, new ones are not, nothing is delivered; and it can be cured."""
    assert customer.wire
    stranger = Customer(sandbox, connected=False)
    set_faults(sandbox, deaf="on")
    assert reply(sandbox, customer, "unheard").status == 200
    again = Wire(sandbox.url)
    again.subscribe(customer.contact["pubsub_token"])
    newcomer = Wire(sandbox.url)
    newcomer.say(json.dumps({"command": "subscribe", "identifier": _identifier(stranger)}))
    newcomer.settle()
    assert newcomer.frames == [{"type": "welcome"}]
    assert again.events() == []
    assert by_marker(sandbox, 1)["unheard"]["fault"] == "deaf"
    set_faults(sandbox, deaf="off")
    reply(sandbox, customer, "heard")
    eventually(lambda: customer.hears() == ["heard"])
    for wire in (again, newcomer):
        wire.close()


def test_unconfirmed_subscriptions_hear_nothing(make: Make) -> None:
    """While never_confirm is on, a subscription stays silent; the same socket may try another spelling later."""
    sandbox = make(faults=["never_confirm=on"])
    customer = Customer(sandbox, connected=False)
    wire = Wire(sandbox.url)
    wire.say(json.dumps({"command": "subscribe", "identifier": _identifier(customer)}))
    wire.settle()
    set_faults(sandbox, never_confirm="off")
    reply(sandbox, customer, "unheard")
    wire.settle()
    assert wire.frames == [{"type": "welcome"}]
    wire.subscribe(customer.contact["pubsub_token"])
    wire.close()


def test_a_stall_holds_requests_and_then_serves_them(sandbox: Sandbox, customer: Customer) -> None:
    """A reply that comes during a stall is answered when it is over."""
    set_faults(sandbox, stall="300ms")
    assert reply(sandbox, customer, "held").status == 200
    row = by_marker(sandbox, 1)["held"]
    assert row["answered"]["mono_us"] - row["requested"]["mono_us"] > 200_000
    set_faults(sandbox, stall="20s@20s")
    assert reply(sandbox, customer, "not yet").status == 200


def test_a_cut_drops_every_cable(sandbox: Sandbox) -> None:
    """All sockets end without a close frame, and the answer says how many there were."""
    wires = [Wire(sandbox.url) for _ in range(5)]
    eventually(lambda: state(sandbox)["sockets"] == 5)
    assert ask(sandbox.control, "POST", "/cut").json() == {"cut": 5}
    for wire in wires:
        assert eventually(lambda w=wire: w.ended).startswith("dropped")
    eventually(lambda: state(sandbox)["sockets"] == 0)


@pytest.mark.parametrize(
    ("path", "body", "answer", "said", "code"),
    [
        ("/close", None, {"closed": 3}, [], 1001),
        ("/restart", None, {"disconnected": 3}, [{"type": "disconnect", "reason": "server_restart", "reconnect": True}], 1000),
        (
            "/restart",
            {"reconnect": False},
            {"disconnected": 3},
            [{"type": "disconnect", "reason": "server_restart", "reconnect": False}],
            1000,
        ),
    ],
    ids=["closed", "sent away", "sent away for good"],
)
def test_every_cable_is_closed_in_good_order(
    sandbox: Sandbox, path: str, body: dict[str, bool] | None, answer: dict[str, int], said: list[dict[str, object]], code: int
) -> None:
    """With a close frame, and a word of Action Cable's before it where the server restarts; what it cannot read it refuses."""
    wires = [Wire(sandbox.url) for _ in range(3)]
    eventually(lambda: all(wire.frames for wire in wires))
    assert ask(sandbox.control, "POST", "/restart", {"reconnect": "perhaps"}).status == 400
    assert ask(sandbox.control, "POST", path, body).json() == answer
    for wire in wires:
        assert eventually(lambda w=wire: w.ended) == "closed"
        assert (wire.frames[1:], wire.close_code) == (said, code)
        wire.close()
    eventually(lambda: state(sandbox)["sockets"] == 0)


def test_whatever_is_told_comes_to_every_subscription(sandbox: Sandbox) -> None:
    """Customers' and agents' alike, once each, as it was given; what is no JSON is refused in a sentence."""
    agent, customer = staff(sandbox), Customer(sandbox)
    assert customer.wire
    message = {"event": "holo.created", "data": {"a": 1}}
    assert ask(sandbox.control, "POST", "/tell", message).json() == {"told": 2}
    for wire in (agent, customer.wire):
        assert eventually(lambda w=wire: w.events("holo.created")) == [message]
        wire.close()
    answer = ask(sandbox.control, "POST", "/tell", raw=b"{")
    assert (answer.status, "JSON" in answer.json()["error"]) == (400, True)


def test_what_is_still_held_at_the_end_is_written_down(make: Make, tmp_path: Path) -> None:
    """A stop ends the open lines as they stand."""
    sandbox = make(faults=["delay=1of1:60s"])
    customer = Customer(sandbox)
    reply(sandbox, customer, "late")
    sandbox.stop()
    row = by_marker(sandbox, 1)["late"]
    assert (row["fault"], row["written"], row["status"]) == ("delay", [], 200)


def _identifier(customer: Customer) -> str:
    return json.dumps({"channel": "RoomChannel", "pubsub_token": customer.contact["pubsub_token"]})
