"""What saying something does to a conversation, whoever says it: the rows it changes and the events that follow.

Shared by the two APIs: a customer may be made to speak over the agent API too.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from loadkit import clock
from loadkit.sandbox.events import Events, Then
from loadkit.sandbox.faults import Drawn
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.rows import INCOMING, OUTGOING, Conversation, Inbox, Message, Session, User
from loadkit.sandbox.store import Store
from loadkit.sandbox.truth import Attempt

__all__ = ["LONGEST_CONTENT", "PAGE", "TOO_LONG", "Actions", "Echo"]

Echo = dict[str, Any]

LONGEST_CONTENT = 150_000
TOO_LONG = f"Content is too long (maximum is {LONGEST_CONTENT} characters)"
PAGE = 20
REOPENED = "System reopened the conversation due to a new incoming message."


class Actions:
    """The verbs of a conversation."""

    def __init__(self, store: Store, presence: Presence, events: Events) -> None:
        self._store = store
        self._presence = presence
        self._events = events

    def open(self, session: Session, custom_attributes: dict[str, Any]) -> Conversation:
        """Open a conversation; an online member of the inbox is assigned in turn."""
        conversation = self._store.add_conversation(session, custom_attributes)
        conversation.assignee = self._next_assignee(session.inbox)
        then: list[Then] = []
        if conversation.assignee:
            then.append(self._events.conversation("assignee.changed", conversation, customer=False))
            then.append(self._events.notification("conversation_assignment", conversation))
        self._events.conversation_created(conversation, then=then)
        return conversation

    def _next_assignee(self, inbox: Inbox) -> User | None:
        online = [user for user in inbox.members if self._presence.is_online(user)]
        if not online:
            return None
        chosen = next((user for user in online if user.id > inbox.assigned_last), online[0])
        inbox.assigned_last = chosen.id
        return chosen

    def customer_says(
        self, conversation: Conversation, content: str | None, echo: Echo, *, performer: User | None = None, **more: Any
    ) -> Message:
        """Add a customer's message; `more` are further fields of it. It reopens, and makes the customer wait again."""
        contact = conversation.contact
        message = self._store.add_message(conversation, content, INCOMING, contact, **more)
        then = [self._events.contact("contact.updated", contact)]
        if conversation.status in ("resolved", "snoozed"):
            then += self._reopen(conversation)
        if conversation.waiting_since is None:
            conversation.waiting_since = message.created_at
            then.append(self._events.conversation("conversation.updated", conversation))
        if conversation.assignee:
            then.append(self._events.notification("assigned_conversation_new_message", conversation, message))
        if message.attachments:
            then.append(self._events.in_background(partial(analyse, message)))
        self._events.message_created(message, echo=echo, performer=performer, then=then)
        return message

    def _reopen(self, conversation: Conversation) -> list[Then]:
        quiet = conversation.status == "snoozed"
        conversation.status = "open"
        then = [
            self._events.conversation("conversation.status_changed", conversation),
            self._events.conversation("conversation.updated", conversation),
        ]
        return then if quiet else [*then, self._events.activity(conversation, REOPENED)]

    def agent_says(
        self,
        conversation: Conversation,
        content: str | None,
        user: User,
        echo: Echo,
        *,
        attempt: Attempt | None = None,
        drawn: Drawn | None = None,
        **more: Any,
    ) -> Message:
        """Add an agent's message; a public one ends the customer's waiting, the first of them is the first reply."""
        message = self._store.add_message(conversation, content, more.pop("message_type", OUTGOING), user, **more)
        then: list[Then] = []
        if message.public and message.message_type == OUTGOING:
            first = conversation.first_reply_created_at is None
            if first:
                conversation.first_reply_created_at = message.created_at
                then.append(self._events.first_reply(message, echo, user))
            if first or conversation.waiting_since is not None:
                conversation.waiting_since = None
                then.append(self._events.conversation("conversation.updated", conversation))
        if attempt:
            attempt.saved(message.id, message.created_at)
            attempt.expect()
        self._events.message_created(message, echo=echo, performer=user, attempt=attempt, drawn=drawn, then=then)
        return message

    def set_status(self, conversation: Conversation, status: str, activity: str) -> None:
        """Change a conversation's status; nothing happens where it has it already."""
        if conversation.status == status:
            return
        conversation.status = status
        conversation.updated_at = clock.unix_us()
        self._events.conversation("conversation.status_changed", conversation)()
        self._events.conversation("conversation.updated", conversation)()
        self._events.activity(conversation, activity)()

    def assign(self, conversation: Conversation, assignee: User | None, by: User) -> None:
        """Assign a conversation, or unassign it; nothing happens where that is so already."""
        if conversation.assignee is assignee:
            return
        conversation.assignee = assignee
        conversation.updated_at = clock.unix_us()
        self._events.conversation("assignee.changed", conversation, customer=False)()
        self._events.conversation("conversation.updated", conversation)()
        if assignee is None:
            self._events.activity(conversation, f"Conversation unassigned by {by.name}")()
        elif assignee is by:
            self._events.activity(conversation, f"{by.name} self-assigned this conversation")()
        else:
            self._events.activity(conversation, f"Assigned to {assignee.name} by {by.name}")()
            self._events.notification("conversation_assignment", conversation)()

    def seen_by_customer(self, conversation: Conversation) -> None:
        """The customer looked: every message of the other side not yet read becomes read, and each is told."""
        conversation.contact_last_seen_at = conversation.updated_at = clock.unix_us()
        self._events.conversation("conversation.read", conversation, customer=False)()
        for message in conversation.messages:
            if message.message_type != INCOMING and message.status in ("sent", "delivered"):
                before, old = message.updated_at, message.status
                message.status, message.updated_at = "read", clock.unix_us()
                self._events.message_updated(message, {"status": [old, "read"]}, before)()

    def submit(self, message: Message, values: list[Any]) -> None:
        """Store what a customer filled in."""
        before, old = message.updated_at, message.content_attributes
        message.content_attributes = {**old, "submitted_values": values}
        message.updated_at = clock.unix_us()
        self._events.message_updated(message, {"content_attributes": [old, message.content_attributes]}, before)()


def analyse(message: Message) -> None:
    """Make the dimensions of a message's images known, as the analysis job does after the answer."""
    for attachment in message.attachments:
        attachment.dimensions = attachment.analysed
