"""What loadkit uses of OneHash Chat's answers. What is used is required, everything else is ignored, whatever version it comes from."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from loadkit.errors import RemoteProtocolError

__all__ = [
    "Account",
    "AgentConversation",
    "AgentConversations",
    "AgentInbox",
    "AgentInboxes",
    "AgentMessage",
    "AgentMessages",
    "Call",
    "Contact",
    "ContactRow",
    "Conversation",
    "Inbox",
    "Message",
    "Profile",
    "StatusChange",
    "Survey",
    "decode",
]

T = TypeVar("T")


class Inbox(msgspec.Struct, frozen=True):
    """An inbox as the Client API shows it; `identity_validation_enabled` says that HMAC is mandatory."""

    identifier: str
    identity_validation_enabled: bool = False


class Contact(msgspec.Struct, frozen=True):
    """A contact's session in an inbox; `pubsub_token` is its secret."""

    source_id: str
    pubsub_token: str
    id: int

    def __repr__(self) -> str:
        return f"Contact({self.id})"


class ContactRow(msgspec.Struct, frozen=True):
    """A contact as its update is answered: the row, without session and secret."""

    id: int
    name: str | None = None


class Message(msgspec.Struct, frozen=True):
    """A message as the Client API shows it: it has neither `echo_id` nor `source_id`."""

    id: int
    message_type: int
    content: str | None = None
    created_at: int | float | None = None
    content_type: Any = None
    content_attributes: Any = None

    @property
    def items(self) -> list[dict[str, Any]]:
        """What a form lets choose from, [] for any other message."""
        return [item for item in self._attribute("items") or [] if isinstance(item, dict)]

    @property
    def is_filled_in(self) -> bool:
        """Whether a form or a survey was answered."""
        return bool(self._attribute("submitted_values"))

    def _attribute(self, name: str) -> Any:
        value = self.content_attributes.get(name) if isinstance(self.content_attributes, dict) else None
        return value if isinstance(value, list | dict) else None


class Conversation(msgspec.Struct, frozen=True):
    """A conversation; `id` is the public display id, by `uuid` its survey is found."""

    id: int
    status: str | None = None
    messages: list[Message] = []
    uuid: str | None = None


class Survey(msgspec.Struct, frozen=True):
    """A satisfaction survey; its answer is stored in a later job, so `csat_survey_response` is null right after rating."""

    id: int
    csat_survey_response: Any = None


class Account(msgspec.Struct, frozen=True):
    """An account that an agent belongs to."""

    id: int


class Profile(msgspec.Struct, frozen=True):
    """An agent's own profile; `pubsub_token` is the agent's secret."""

    id: int
    pubsub_token: str
    account_id: int | None = None
    accounts: list[Account] = []
    role: str | None = None

    def __repr__(self) -> str:
        return f"Profile({self.id})"


class AgentMessage(msgspec.Struct, frozen=True):
    """A message as the agent API shows it."""

    id: int
    echo_id: Any = None
    source_id: str | None = None


class AgentMessages(msgspec.Struct, frozen=True):
    """A page of an agent's message list."""

    payload: list[AgentMessage]


class AgentConversation(msgspec.Struct, frozen=True):
    """A conversation as an agent sees it; `id` is the public display id."""

    id: int
    status: str | None = None


class _AgentConversationPage(msgspec.Struct, frozen=True):
    payload: list[AgentConversation]


class AgentConversations(msgspec.Struct, frozen=True):
    """A page of an agent's conversation list."""

    data: _AgentConversationPage


class _Status(msgspec.Struct, frozen=True):
    current_status: str


class StatusChange(msgspec.Struct, frozen=True):
    """What a change of status by an agent is answered with."""

    payload: _Status


class Call(msgspec.Struct, frozen=True):
    """A video call that an agent has begun; its room and its secrets are in no result."""

    room_id: str

    def __repr__(self) -> str:
        return "Call()"


class AgentInbox(msgspec.Struct, frozen=True):
    """An inbox as an agent sees it."""

    id: int
    inbox_identifier: str | None = None


class AgentInboxes(msgspec.Struct, frozen=True):
    """The inboxes that an agent may see."""

    payload: list[AgentInbox]


def decode(body: bytes, shape: type[T], where: str) -> T:
    """Return the value that a body holds. Raises RemoteProtocolError: `not_json` (an HTML page, say) or `wrong_shape`."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError("wrong_shape", f"{where} answered something else than expected: {error}") from None
    except RecursionError:
        raise RemoteProtocolError("wrong_shape", f"{where} answered something else than expected: it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RemoteProtocolError("not_json", f"{where} answered no JSON: {_start(body)}") from None


def _start(body: bytes) -> str:
    """Return how a body that is no JSON begins, for a person; nothing from a brace on, for a token may stand there."""
    if not body.strip():
        return "an empty body"
    start = re.split(r"[{\[]", body[:60].decode("utf-8", "replace"))[0].strip()
    return repr(start) if start else f"{len(body)} bytes that only begin like it"
