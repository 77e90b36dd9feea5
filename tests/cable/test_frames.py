"""The words of the wire: commands as the server wants them, frames however they are spelled."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.cable import frames
from loadkit.errors import RemoteProtocolError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
KEYS = st.sampled_from(["type", "identifier", "message", "reason", "reconnect", "event", "data"])


@given(st.text())
def test_an_identifier_travels_byte_for_byte(identifier: str) -> None:
    """The server compares it as it was sent, key order and spaces included."""
    said = json.loads(frames.subscribe(identifier))
    assert said == {"command": "subscribe", "identifier": identifier}
    echoed = json.dumps({"identifier": identifier, "type": "confirm_subscription"})
    assert frames.decode(echoed.encode()) == frames.Confirm(identifier)


def test_an_action_is_json_inside_the_json() -> None:
    """Its data is a string."""
    said = json.loads(frames.perform("x", "update_presence", a=1))
    assert said == {"command": "message", "identifier": "x", "data": '{"action":"update_presence","a":1}'}


def test_room_identifiers_are_spelled_as_browsers_spell_them() -> None:
    """A customer's has two keys, an agent's four, in this order."""
    assert frames.room_identifier("t") == '{"channel":"RoomChannel","pubsub_token":"t"}'
    assert frames.room_identifier("t", account_id=1, user_id=2) == '{"channel":"RoomChannel","pubsub_token":"t","account_id":1,"user_id":2}'


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"type":"welcome"}', frames.Welcome()),
        ('{"message":5,"type":"ping"}', frames.Ping(5)),
        ('{"type":"ping"}', frames.Ping(None)),
        ('{"type":"disconnect"}', frames.Disconnect(None, True)),
        ('{"type":"disconnect","reason":"remote","reconnect":false}', frames.Disconnect("remote", False)),
        ('{"type":"reject_subscription","identifier":"x"}', frames.Reject("x")),
        ('{"type":"news","extra":[1]}', frames.Unknown("news")),
    ],
)
def test_typed_frames(text: str, frame: frames.Frame) -> None:
    """Unknown types and extra keys are no errors."""
    assert frames.decode(text.encode()) == frame


def test_a_broadcasts_data_stays_undecoded() -> None:
    """Its event is read, its payload is left for whoever waits for it."""
    frame = frames.decode(b'{"identifier":"x","message":{"data":{"id": 1},"event":"message.created"}}')
    assert isinstance(frame, frames.Data)
    assert (frame.identifier, frame.event, bytes(frame.data)) == ("x", "message.created", b'{"id": 1}')


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(KEYS, JSON).map(lambda value: json.dumps(value).encode())
)
def test_arbitrary_texts_are_frames_or_named_errors(text: bytes) -> None:
    """Nothing that a server sends raises anything else."""
    try:
        assert isinstance(frames.decode(text), frames.Frame)
    except RemoteProtocolError as error:
        assert error.kind in ("not_json", "bad_frame", "missing_key")  # noqa: PT017 - one of two good outcomes
