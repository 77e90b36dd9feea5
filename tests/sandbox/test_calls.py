"""Video calls: the conversation's own session is told, and the agent gets a token of its own."""

from __future__ import annotations

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, acts, heard, staff


def test_a_call_is_told_to_the_customer_alone(sandbox: Sandbox) -> None:
    """Room, domain and message when it begins, with the agent who rings; the room when it ends. No agent hears of it."""
    agent, customer = staff(sandbox), Customer(sandbox)
    assert customer.wire
    path, first = f"/conversations/{customer.conversation}", len(agent.events())
    begun = acts(sandbox, "POST", path + "/create_call", {"room_id": "a-room", "message_id": 7})
    ended = acts(sandbox, "POST", path + "/end_call", {"room_id": "a-room"})
    assert [name for name in heard(sandbox, customer.wire) if name.startswith("call.")] == ["call.created", "call.ended"]
    assert [name for name in heard(sandbox, agent, first=first) if name.startswith("call.")] == []
    created, over = (customer.wire.events(f"call.{name}")[0]["data"] for name in ("created", "ended"))
    assert created["call_data"].keys() == {"room_id", "domain", "message_id", "jwt"} == begun.json().keys()
    assert (created["call_data"]["room_id"], created["call_data"]["message_id"], created["account_id"]) == ("a-room", 7, 1)
    assert created["performer"]["id"] == sandbox.store.users[1].id
    assert begun.json()["jwt"] != created["call_data"]["jwt"]
    assert (ended.status, ended.body, over["call_data"].keys()) == (200, b"", {"room_id", "domain"})
    for wire in (agent, customer.wire):
        wire.close()


def test_a_call_needs_its_room_and_its_message(sandbox: Sandbox) -> None:
    """Else 422, and nobody is told."""
    customer = Customer(sandbox)
    assert customer.wire
    path = f"/conversations/{customer.conversation}"
    for verb, body in (("create_call", {"room_id": "a-room"}), ("create_call", {"message_id": 7}), ("end_call", {})):
        assert acts(sandbox, "POST", f"{path}/{verb}", body).status == 422
    assert acts(sandbox, "POST", "/conversations/999/create_call", {"room_id": "a-room", "message_id": 7}).status == 404
    assert [name for name in heard(sandbox, customer.wire) if name.startswith("call.")] == []
    customer.wire.close()
