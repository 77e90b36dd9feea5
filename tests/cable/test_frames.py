"""Words on the wire: commands out, frames in, whatever a server makes of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.cable.frames import (
    Confirm,
    Data,
    Disconnect,
    Frame,
    Ping,
    Reject,
    Unknown,
    Welcome,
    decode,
    perform,
    room_identifier,
    subscribe,
    unsubscribe,
)
from loadkit.errors import RemoteProtocolError

IDENTIFIER = '{"channel":"RoomChannel","pubsub_token":"abc"}'


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"type":"welcome"}', Welcome()),
        ('{ "type" : "ping" , "message" : 1700000000 }', Ping(1700000000)),
        ('{"type":"ping"}', Ping(None)),
        (json.dumps({"identifier": IDENTIFIER, "type": "confirm_subscription"}), Confirm(IDENTIFIER)),
        (json.dumps({"type": "reject_subscription", "identifier": IDENTIFIER, "extra": [1]}), Reject(IDENTIFIER)),
        ('{"type":"disconnect","reason":"server_restart","reconnect":false}', Disconnect("server_restart", False)),
        ('{"type":"disconnect"}', Disconnect(None, True)),
        ('{"type":"confirm_unsubscription","identifier":"x"}', Unknown("confirm_unsubscription")),
    ],
)
def test_frames(text: str, frame: Frame) -> None:
    """Spaces, order and further keys do not matter."""
    assert decode(text.encode()) == frame


@pytest.mark.parametrize(
    ("message", "event", "data"),
    [
        ({"event": "message.created", "data": {"id": 1}}, "message.created", {"id": 1}),
        ({"data": [1], "event": "x"}, "x", [1]),
        ({"event": "x"}, "x", None),
        ({"other": 1}, "", None),
        ("plain", "", "plain"),
        ([1, 2], "", [1, 2]),
        ({"event": 5}, "", {"event": 5}),
        (None, "", None),
    ],
)
def test_broadcasts(message: object, event: str, data: object) -> None:
    """Any message has a name, empty where it says none, and its payload stays undecoded."""
    frame = decode(json.dumps({"identifier": IDENTIFIER, "message": message}).encode())
    assert isinstance(frame, Data)
    assert (frame.identifier, frame.event, json.loads(bytes(frame.data))) == (IDENTIFIER, event, data)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b'{"type":"welcome"} x', "not_json"),
        (b'{"type":"ping","message":"\xff"}', "not_json"),
        (b'{"identifier":"x","message":{"event":"\xff"}}', "not_json"),
        (b"null", "bad_frame"),
        (b"[]", "bad_frame"),
        (b'{"type":5}', "bad_frame"),
        (b'{"type":"ping","message":1e999}', "bad_frame"),
        (b'{"identifier":"x","message":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "bad_frame"),
        (b"{}", "missing_key"),
        (b'{"message":{"event":"x"}}', "missing_key"),
        (b'{"type":"confirm_subscription"}', "missing_key"),
    ],
)
def test_what_breaks_the_protocol_has_a_name(content: bytes, kind: str) -> None:
    """It is their fault, it is counted under its kind, and it never stops a run."""
    with pytest.raises(RemoteProtocolError) as caught:
        decode(content)
    assert caught.value.kind == kind


@given(
    st.one_of(
        st.binary(max_size=80),
        st.recursive(
            st.none() | st.integers() | st.text() | st.floats(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["type", "identifier", "message", "reason", "reconnect", "event"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_bytes_are_a_frame_or_a_remote_protocol_error(content: bytes) -> None:
    """Nothing else comes out."""
    try:
        frame = decode(content)
    except RemoteProtocolError as error:
        assert error.kind in ("not_json", "bad_frame", "missing_key")  # noqa: PT017 - any other exception is the failure
    else:
        assert isinstance(frame, Frame)


def test_identifiers_are_spelled_as_browsers_spell_them() -> None:
    """Byte for byte: a server echoes them, and another spelling is another subscription."""
    assert room_identifier("abc") == IDENTIFIER
    assert room_identifier("abc", account_id=1, user_id=2) == '{"channel":"RoomChannel","pubsub_token":"abc","account_id":1,"user_id":2}'


def test_commands() -> None:
    """The identifier, and an action's data, are JSON inside the JSON."""
    assert json.loads(subscribe(IDENTIFIER)) == {"command": "subscribe", "identifier": IDENTIFIER}
    assert json.loads(unsubscribe(IDENTIFIER)) == {"command": "unsubscribe", "identifier": IDENTIFIER}
    command = json.loads(perform(IDENTIFIER, "update_presence", n=1))
    assert (command["command"], command["identifier"]) == ("message", IDENTIFIER)
    assert json.loads(command["data"]) == {"action": "update_presence", "n": 1}
