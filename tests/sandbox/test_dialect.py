"""The older release: what it lacks over HTTP, whom it tells, and what its payloads look like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadkit.cable import frames
from loadkit.errors import SettingsError
from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, Wire, acts, ask, heard, reply, staff
from tests.sandbox.conftest import Make
from tests.support import eventually


@pytest.fixture
def old(make: Make) -> Sandbox:
    return make(release="3.0.0")


@pytest.fixture
def shopper(old: Sandbox) -> Iterator[Customer]:
    """A connected customer of the older release."""
    made = Customer(old)
    yield made
    if made.wire:
        made.wire.close()


def test_its_client_api_is_smaller(old: Sandbox, shopper: Customer) -> None:
    """No single conversation, no resolving; creation takes no attributes and heeds no lock."""
    here = shopper.messages.removesuffix("/messages")
    assert ask(old.url, "GET", "/api").json()["version"] == "3.0.0"
    assert [ask(old.url, "GET", here).status, ask(old.url, "POST", here + "/toggle_status", {}).status] == [404, 404]
    acts(old, "PATCH", "/inboxes/1", {"lock_to_single_conversation": True}, admin=True)
    second = ask(old.url, "POST", shopper.path + "/conversations", {"custom_attributes": {"a": 1}}).json()
    assert second["id"] != shopper.conversation
    assert old.store.conversations[second["id"]].custom_attributes == {}
    assert ask(old.url, "GET", shopper.path + "/conversations").status == 200


def test_it_knows_no_flood(old: Sandbox) -> None:
    """The 201st message within a minute passes too."""
    customer = Customer(old, connected=False)
    assert {customer.says("x").status for _ in range(202)} == {200}


def test_looking_marks_nothing_as_read(old: Sandbox, shopper: Customer) -> None:
    """Agents hear that the customer looked, nobody of an updated message."""
    agent = staff(old)
    reply(old, shopper, "m")
    ask(old.url, "POST", shopper.messages.replace("/messages", "/update_last_seen"))
    assert "conversation.read" in heard(old, agent)
    assert shopper.wire
    assert "message.updated" not in heard(old, shopper.wire)
    agent.close()


def test_conversation_events_are_frozen_and_name_who_did_it(old: Sandbox, shopper: Customer) -> None:
    """They carry a performer and lack what came later; the present release is the other way round."""
    reply(old, shopper, "m")
    assert shopper.wire
    data = eventually(lambda: shopper.wire and shopper.wire.events("conversation.updated"))[0]["data"]
    assert data["performer"]["id"] == 2
    assert not {"last_activity_at", "updated_at", "applied_sla", "sla_events", "sla_policy_id"} & data.keys()


def test_contact_events_go_to_every_agents_token(old: Sandbox, shopper: Customer) -> None:
    """Also to one who works in no inbox, and once to each."""
    wires = [staff(old, 0), staff(old, 1)]
    Customer(old, connected=False)
    for wire in wires:
        assert heard(old, wire).count("contact.created") == 1
        wire.close()


def test_a_user_who_is_not_named_rightly_overhears(old: Sandbox, shopper: Customer) -> None:
    """The stream is joined before the user is looked up: no confirmation, but events; the present release stays silent."""
    user = old.store.users[1]
    wire = Wire(old.url)
    wire.say(frames.subscribe(frames.room_identifier(user.pubsub_token, account_id=9, user_id=user.id)))
    wire.say(frames.subscribe(frames.room_identifier("x" * 24)))
    wire.settle()
    assert wire.frames == [{"type": "welcome"}]
    shopper.says("hi")
    assert "message.created" in heard(old, wire)
    wire.close()


def test_an_agents_message_takes_less(old: Sandbox, shopper: Customer) -> None:
    """No source id, no attributes as text, no delivery status; the echo id comes back as ever."""
    answer = reply(old, shopper, "m", source_id="s", content_attributes='{"in_reply_to": 1}').json()
    assert (answer["source_id"], answer["content_attributes"], answer["echo_id"]) == (None, {}, "m")
    path = f"/conversations/{shopper.conversation}/messages/{answer['id']}"
    assert acts(old, "PATCH", path, {"status": "read"}).status == 404
    assert shopper.wire
    shopper.wire.settle()
    assert shopper.hears() == ["m"]


def test_an_unknown_release_is_one_sentence() -> None:
    """Before anything runs."""
    with pytest.raises(SettingsError, match="no dialect"):
        Sandbox(release="2.0.0")
