"""The rows of the imitated database: plain values that live, changed only by the store and by the actions of the two APIs.

Times are Unix microseconds; None means never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loadkit.sandbox.settings import InboxSettings

__all__ = [
    "ACTIVITY",
    "INCOMING",
    "OUTGOING",
    "TEMPLATE",
    "Attachment",
    "Contact",
    "Conversation",
    "CsatResponse",
    "Inbox",
    "Message",
    "Notification",
    "Session",
    "User",
    "newest",
]

INCOMING, OUTGOING, ACTIVITY, TEMPLATE = 0, 1, 2, 3


@dataclass(slots=True, eq=False)
class User:
    """An administrator or an agent; `availability` is what they chose, shown while they are on the cable or never go offline."""

    id: int
    name: str
    email: str
    role: str
    access_token: str
    pubsub_token: str
    availability: str = "online"
    auto_offline: bool = True
    confirmed: bool = True


@dataclass(slots=True, eq=False)
class Inbox:
    """An API channel and its inbox; `members` are the agents who see it besides the administrators."""

    id: int
    name: str
    identifier: str
    hmac_token: str
    hmac_mandatory: bool
    settings: InboxSettings = field(default_factory=InboxSettings)
    members: list[User] = field(default_factory=list)
    assigned_last: int = 0


@dataclass(slots=True, eq=False)
class Contact:
    """A customer; one contact may have many sessions. A blocked one's conversations stay resolved."""

    id: int
    name: str
    created_at: int
    updated_at: int
    email: str | None = None
    phone_number: str | None = None
    identifier: str | None = None
    custom_attributes: dict[str, Any] = field(default_factory=dict)
    additional_attributes: dict[str, Any] = field(default_factory=dict)
    blocked: bool = False
    last_activity_at: int | None = None
    sessions: list[Session] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Session:
    """A contact in one inbox, known by its `source_id`, with a secret of its own for the cable."""

    id: int
    contact: Contact
    inbox: Inbox
    source_id: str
    pubsub_token: str
    created_at: int
    updated_at: int
    hmac_verified: bool = False
    conversations: list[Conversation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Conversation:
    """A conversation; `id` is the public display id. `unread` counts customer messages since an agent looked."""

    id: int
    uuid: str
    session: Session
    created_at: int
    updated_at: int
    last_activity_at: int
    waiting_since: int | None
    custom_attributes: dict[str, Any]
    status: str = "open"
    assignee: User | None = None
    first_reply_created_at: int | None = None
    agent_last_seen_at: int | None = None
    assignee_last_seen_at: int | None = None
    contact_last_seen_at: int | None = None
    snoozed_until: int | None = None
    additional_attributes: dict[str, Any] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    priority: str | None = None
    unread: int = 0
    messages: list[Message] = field(default_factory=list)

    @property
    def inbox(self) -> Inbox:
        """The inbox of its session."""
        return self.session.inbox

    @property
    def contact(self) -> Contact:
        """The contact of its session."""
        return self.session.contact

    def last_said(self) -> Message | None:
        """Return the newest message that a customer may see, or None."""
        return next((message for message in reversed(self.messages) if message.public), None)


@dataclass(slots=True, eq=False)
class Attachment:
    """A file of a message; the bytes are not kept, the dimensions of an image are known once it was analysed."""

    id: int
    file_type: str
    name: str
    key: str
    file_size: int
    analysed: tuple[int, int] | None = None
    dimensions: tuple[int, int] | None = None


@dataclass(slots=True, eq=False)
class CsatResponse:
    """What a customer answered to the survey that a message holds."""

    id: int
    rating: int | None
    feedback_message: str | None
    assigned_agent_id: int | None
    created_at: int
    updated_at: int


@dataclass(slots=True, eq=False)
class Message:
    """A message; `sender` is None for activities and automatic messages."""

    id: int
    conversation: Conversation
    content: str | None
    message_type: int
    sender: User | Contact | None
    created_at: int
    updated_at: int
    private: bool = False
    content_type: str = "text"
    content_attributes: dict[str, Any] = field(default_factory=dict)
    source_id: str | None = None
    status: str = "sent"
    attachments: list[Attachment] = field(default_factory=list)
    csat: CsatResponse | None = None

    @property
    def public(self) -> bool:
        """Whether a customer may see it."""
        return not self.private and self.message_type != ACTIVITY


@dataclass(slots=True, eq=False)
class Notification:
    """What a user is told about a conversation."""

    id: int
    kind: str
    user: User
    conversation: Conversation
    message: Message | None
    created_at: int


def newest(messages: list[Message], limit: int, *, before: int | None = None, public: bool = False) -> list[Message]:
    """Return the newest `limit` messages, oldest first: of ids below `before`, and only what a customer may see, if asked."""
    found: list[Message] = []
    for message in reversed(messages):
        if len(found) == limit:
            break
        if (before is None or message.id < before) and (message.public or not public):
            found.append(message)
    return found[::-1]
