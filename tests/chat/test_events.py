"""What a RoomChannel frame says, by the recorded ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.chat.events import CUSTOMER_EVENTS, FORM, MESSAGE_CREATED, created_message, whole_message
from loadkit.errors import RemoteProtocolError
from tests.chat.golden import broadcasts


def framed(data: object) -> bytes:
    return json.dumps({"identifier": "{}", "message": {"event": MESSAGE_CREATED, "data": data}}).encode()


@pytest.mark.parametrize(("socket", "count"), [("customer", 32), ("agent", 35)])
def test_recorded_messages(socket: str, count: int) -> None:
    """Each of the recorded created messages yields its id, its conversation and the `echo_id` it was posted with, if any."""
    frames = broadcasts(socket, MESSAGE_CREATED)
    assert len(frames) == count
    for frame in frames:
        said, message = json.loads(frame)["message"]["data"], created_message(frame)
        assert (message.id, message.conversation_id, message.echo_id) == (said["id"], said["conversation_id"], said.get("echo_id"))


def test_a_customer_is_told_ten_events_and_no_others() -> None:
    """All that the recorded customer's socket heard is among them; what agents alone are told is not."""
    heard = {json.loads(frame)["message"]["event"] for frame in broadcasts("customer")}
    assert len(CUSTOMER_EVENTS) == 10
    assert MESSAGE_CREATED in heard
    assert heard <= CUSTOMER_EVENTS
    assert not CUSTOMER_EVENTS & {"notification.created", "assignee.changed", "first.reply.created", "contact.created", "contact.updated"}


def test_the_recorded_form_is_read_whole() -> None:
    """Its kind is seen at first sight, what it lets choose from at the second; nothing else is a form."""
    forms = [frame for frame in broadcasts("customer", MESSAGE_CREATED) if created_message(frame).content_type == FORM]
    assert len(forms) == 1
    message = whole_message(forms[0])
    assert message.items == [{"title": "A", "value": "a"}, {"title": "B", "value": "b"}]
    assert not message.is_filled_in
    filled_in = [whole_message(frame) for frame in broadcasts("customer", "message.updated")]
    assert {one.id for one in filled_in if one.is_filled_in} == {message.id}


@pytest.mark.parametrize("attributes", [None, 7, [], {}, {"items": 7}, {"items": {"a": 1}}, {"items": [None, 7]}])
def test_a_form_without_items_offers_nothing(attributes: object) -> None:
    """Whatever a server puts there, it is a message all the same."""
    message = whole_message(framed({"id": 1, "message_type": 1, "content_type": FORM, "content_attributes": attributes}))
    assert (message.items, message.is_filled_in) == ([], False)


@pytest.mark.parametrize("echo_id", [None, 7, 1.5, True, "lk-1", ["a"], {"a": 1}])
def test_an_echo_id_comes_back_as_it_was_posted(echo_id: object) -> None:
    """The server relays whatever JSON a client put there."""
    assert created_message(framed({"id": 1, "conversation_id": 2, "echo_id": echo_id})).echo_id == echo_id


@pytest.mark.parametrize("key", ["id", "conversation_id"])
def test_a_key_that_is_used_must_be_there(key: str) -> None:
    """Its absence is named, with the key."""
    data = {"id": 1, "conversation_id": 2}
    del data[key]
    with pytest.raises(RemoteProtocolError, match=key) as caught:
        created_message(framed(data))
    assert caught.value.kind == "missing_key"


@given(st.binary() | st.text().map(str.encode))
def test_any_frame_is_read_or_named(frame: bytes) -> None:
    """Nothing but a RemoteProtocolError comes out of bytes that are no such frame."""
    for read in (created_message, whole_message):
        with pytest.raises(RemoteProtocolError) as caught:
            read(frame)
        assert caught.value.kind in ("not_json", "missing_key")
