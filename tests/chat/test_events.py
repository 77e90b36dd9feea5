"""What a RoomChannel frame says, by the recorded ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.chat.events import CUSTOMER_EVENTS, MESSAGE_CREATED, created_message
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
    with pytest.raises(RemoteProtocolError) as caught:
        created_message(frame)
    assert caught.value.kind in ("not_json", "missing_key")
