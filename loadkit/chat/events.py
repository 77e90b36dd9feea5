"""What a RoomChannel frame says that holds one of our markers: the events a customer can receive, and a created message."""

from __future__ import annotations

from typing import Any

import msgspec

from loadkit.errors import RemoteProtocolError

__all__ = ["CUSTOMER_EVENTS", "MESSAGE_CREATED", "MessageCreated", "created_message"]

MESSAGE_CREATED = "message.created"
CUSTOMER_EVENTS = frozenset(
    {
        "presence.update",
        "conversation.created",
        MESSAGE_CREATED,
        "message.updated",
        "conversation.updated",
        "conversation.status_changed",
        "conversation.typing_on",
        "conversation.typing_off",
        "call.created",
        "call.ended",
    }
)


class MessageCreated(msgspec.Struct, frozen=True, gc=False):
    """What we use of a message as `message.created` carries it.

    `conversation_id` is the display id, `echo_id` comes back as it was posted.
    """

    id: int
    conversation_id: int
    echo_id: Any = None


class _Message(msgspec.Struct, gc=False):
    data: MessageCreated


class _Frame(msgspec.Struct, gc=False):
    message: _Message


_decode = msgspec.json.Decoder(_Frame).decode


def created_message(frame: bytes) -> MessageCreated:
    """Return the message of a `message.created` frame. Raises RemoteProtocolError (`missing_key` where a key that we use is not there)."""
    try:
        return _decode(frame).message.data
    except msgspec.ValidationError as error:
        raise RemoteProtocolError("missing_key", f"a message.created frame of an unexpected form: {error}") from None
    except msgspec.DecodeError:
        raise RemoteProtocolError("not_json", "a message.created frame that is not JSON") from None
