"""What a RoomChannel frame says that holds one of our markers: the events a customer can receive, and a created message."""

from __future__ import annotations

from typing import Any

import msgspec

from loadkit.chat.models import Message
from loadkit.errors import RemoteProtocolError

__all__ = ["CUSTOMER_EVENTS", "FORM", "MESSAGE_CREATED", "SURVEY", "MessageCreated", "created_message", "whole_message"]

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

FORM, SURVEY = "input_select", "input_csat"
"""Content types of messages that want an answer of their own."""


class MessageCreated(msgspec.Struct, frozen=True, gc=False):
    """What we use of a message as `message.created` carries it.

    `conversation_id` is the display id, `echo_id` comes back as it was posted, `updated_at` is when the message was saved: an ISO date
    by the server's clock.
    """

    id: int
    conversation_id: int
    echo_id: Any = None
    content_type: Any = None
    updated_at: Any = None


class _Message(msgspec.Struct, gc=False):
    data: MessageCreated


class _Frame(msgspec.Struct, gc=False):
    message: _Message


class _WholeMessage(msgspec.Struct, gc=False):
    data: Message


class _WholeFrame(msgspec.Struct, gc=False):
    message: _WholeMessage


_decode = msgspec.json.Decoder(_Frame).decode
_decode_whole = msgspec.json.Decoder(_WholeFrame).decode


def created_message(frame: bytes) -> MessageCreated:
    """Return the message of a `message.created` frame. Raises RemoteProtocolError (`missing_key` where a key that we use is not there)."""
    try:
        return _decode(frame).message.data
    except msgspec.DecodeError as error:
        raise _wrong(error) from None


def whole_message(frame: bytes) -> Message:
    """Return the message of such a frame with its content, as the Client API shows it. Raises RemoteProtocolError, as above."""
    try:
        return _decode_whole(frame).message.data
    except msgspec.DecodeError as error:
        raise _wrong(error) from None


def _wrong(error: msgspec.DecodeError) -> RemoteProtocolError:
    if isinstance(error, msgspec.ValidationError):
        return RemoteProtocolError("missing_key", f"a message.created frame of an unexpected form: {error}")
    return RemoteProtocolError("not_json", "a message.created frame that is not JSON")
