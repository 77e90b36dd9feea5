"""Action Cable's commands and frames as values; identifiers are kept byte for byte.

Says what the words look like on the wire (commands out, `decode` in), not when they may be said: that is `protocol.py`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from loadkit.errors import RemoteProtocolError

__all__ = [
    "Confirm",
    "Data",
    "Disconnect",
    "Frame",
    "Ping",
    "Reject",
    "Unknown",
    "Welcome",
    "decode",
    "perform",
    "room_identifier",
    "subscribe",
    "unsubscribe",
]


class Welcome(msgspec.Struct, frozen=True):
    """The first frame of every socket."""


class Ping(msgspec.Struct, frozen=True):
    """The server's heartbeat; `message` is its epoch in seconds."""

    message: Any = None


class Confirm(msgspec.Struct, frozen=True):
    """A subscription was confirmed."""

    identifier: str


class Reject(msgspec.Struct, frozen=True):
    """A subscription was rejected; OneHash Chat never does, others may."""

    identifier: str


class Disconnect(msgspec.Struct, frozen=True):
    """The server is about to close; `reconnect` says whether coming back makes sense."""

    reason: str | None = None
    reconnect: bool = True


class Data(msgspec.Struct, frozen=True):
    """A broadcast: `event` is its name ("" where the message has none), `data` its undecoded payload."""

    identifier: str
    event: str
    data: msgspec.Raw


class Unknown(msgspec.Struct, frozen=True):
    """A frame of a type that this page does not know; it is counted, never an error."""

    type: str


Frame = Welcome | Ping | Confirm | Reject | Disconnect | Data | Unknown


class _Message(msgspec.Struct):
    event: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct):
    type: str | None = None
    identifier: str | None = None
    message: msgspec.Raw = msgspec.Raw(b"null")
    reason: str | None = None
    reconnect: bool = True


_envelope = msgspec.json.Decoder(_Envelope)
_message = msgspec.json.Decoder(_Message)


def decode(text: bytes | bytearray | memoryview) -> Frame:
    """Return the frame that a text message holds. Raises RemoteProtocolError (`not_json`, `bad_frame`, `missing_key`)."""
    try:
        return _frame(_envelope.decode(text))
    except msgspec.ValidationError as error:
        raise RemoteProtocolError("bad_frame", f"a cable frame of an unexpected form: {error}") from None
    except RecursionError:
        raise RemoteProtocolError("bad_frame", "a cable frame nested too deeply to be read") from None
    except ValueError:  # msgspec's own, and bytes that are not UTF-8 inside what the first look leaves raw
        raise RemoteProtocolError("not_json", "a cable frame that is not JSON") from None


def _frame(envelope: _Envelope) -> Frame:
    if envelope.type is None:
        return _data(envelope)
    if envelope.type == "ping":
        return Ping(msgspec.json.decode(envelope.message))
    if envelope.type == "welcome":
        return Welcome()
    if envelope.type == "disconnect":
        return Disconnect(envelope.reason, envelope.reconnect)
    if envelope.type in ("confirm_subscription", "reject_subscription"):
        if envelope.identifier is None:
            raise RemoteProtocolError("missing_key", f"{envelope.type} without an identifier")
        return (Confirm if envelope.type == "confirm_subscription" else Reject)(envelope.identifier)
    return Unknown(envelope.type)


def _data(envelope: _Envelope) -> Data:
    if envelope.identifier is None:
        raise RemoteProtocolError("missing_key", "a cable frame with neither type nor identifier")
    try:
        message = _message.decode(envelope.message)
    except msgspec.ValidationError:
        return Data(envelope.identifier, "", envelope.message)
    return Data(envelope.identifier, message.event, message.data)


def room_identifier(pubsub_token: str, *, account_id: int | None = None, user_id: int | None = None) -> str:
    """Return the identifier of a RoomChannel subscription, spelled as browsers spell it; an agent's names account and user."""
    params: dict[str, Any] = {"channel": "RoomChannel", "pubsub_token": pubsub_token}
    if user_id is not None:
        params |= {"account_id": account_id, "user_id": user_id}
    return json.dumps(params, separators=(",", ":"))


def subscribe(identifier: str) -> str:
    """Return the subscribe command."""
    return _command("subscribe", identifier)


def unsubscribe(identifier: str) -> str:
    """Return the unsubscribe command; servers do not acknowledge it."""
    return _command("unsubscribe", identifier)


def perform(identifier: str, action: str, **arguments: Any) -> str:
    """Return the command that calls a channel's action; its data is a JSON string inside the JSON."""
    return _command("message", identifier, data=json.dumps({"action": action, **arguments}, separators=(",", ":")))


def _command(command: str, identifier: str, **more: str) -> str:
    return json.dumps({"command": command, "identifier": identifier, **more}, separators=(",", ":"))
