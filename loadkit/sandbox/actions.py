"""What saying something does to a conversation, whoever says it: the rows it changes and the events that follow.

Shared by the two APIs: a customer may be made to speak over the agent API too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from loadkit import clock
from loadkit.sandbox.automatic import Automatic
from loadkit.sandbox.broadcast import Then
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.events import Events
from loadkit.sandbox.faults import Drawn
from loadkit.sandbox.liquid import rendered
from loadkit.sandbox.notices import Notices
from loadkit.sandbox.pipeline import REBUILD, STATUS
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.rows import ACTIVITY, INCOMING, OUTGOING, Conversation, Inbox, Message, Session, User
from loadkit.sandbox.store import Store
from loadkit.sandbox.truth import Attempt

__all__ = ["LONGEST_CONTENT", "PAGE", "TOO_LONG", "Actions", "Echo"]

Echo = dict[str, Any]

LONGEST_CONTENT = 150_000
TOO_LONG = f"Content is too long (maximum is {LONGEST_CONTENT} characters)"
PAGE = 20
REOPENED = "System reopened the conversation due to a new incoming message."

_MENTION = re.compile(r"\(mention://user/(\d{1,12})/")


class Actions:
    """The verbs of a conversation."""

    def __init__(self, store: Store, presence: Presence, events: Events, notices: Notices, automatic: Automatic, dialect: Dialect) -> None:
        self._store = store
        self._presence = presence
        self._events = events
        self._notices = notices
        self._automatic = automatic
        self._dialect = dialect

    def open(self, session: Session, custom_attributes: dict[str, Any], by: User | None = None, **more: Any) -> Conversation:
        """Open a conversation; an online member of the inbox is assigned in turn. `more` are further fields of it.

        Where the inbox is locked to a single conversation the session's latest one is returned instead, whatever its status.
        """
        if self._dialect.shows_conversations and session.inbox.settings.lock_to_single_conversation and session.conversations:
            return session.conversations[-1]
        conversation = self._store.add_conversation(session, custom_attributes, **more)
        if session.contact.blocked:
            conversation.status = "resolved"
        if conversation.assignee is None and conversation.status == "open":
            conversation.assignee = self._next_assignee(session.inbox)
        then: list[Then] = []
        if conversation.assignee:
            then.append(self._events.conversation("assignee.changed", conversation, by, customer=False))
            then.append(self._notices.to_assignee("conversation_assignment", conversation))
        self._events.conversation_created(conversation, by, then=then)
        return conversation

    def _next_assignee(self, inbox: Inbox) -> User | None:
        online = [user for user in inbox.members if self._presence.assignable(user)] if inbox.settings.enable_auto_assignment else []
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
        then = [self._events.contact("contact.updated", contact, performer)]
        if conversation.status in ("resolved", "snoozed") and not contact.blocked:
            then += self._reopen(conversation, performer)
        if conversation.waiting_since is None:
            conversation.waiting_since = message.created_at
            then.append(self._events.conversation("conversation.updated", conversation, performer))
        if conversation.assignee:
            then.append(self._notices.to_assignee("assigned_conversation_new_message", conversation, message))
        if message.attachments:
            then.append(self._events.later(partial(analyse, message), REBUILD))
        then += self._automatic.answers(conversation)
        self._events.message_created(message, echo=echo, performer=performer, then=then)
        return message

    def _reopen(self, conversation: Conversation, by: User | None) -> list[Then]:
        quiet = conversation.status == "snoozed"
        conversation.status, conversation.snoozed_until = "open", None
        then = [
            self._events.conversation("conversation.status_changed", conversation, by),
            self._events.conversation("conversation.updated", conversation, by),
        ]
        return then if quiet else [*then, self.activity(conversation, REOPENED)]

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
        kind = more.pop("message_type", OUTGOING)
        text = content if kind == ACTIVITY else rendered(content, conversation, user)
        message = self._store.add_message(conversation, text, kind, user, **more)
        then: list[Then] = []
        if message.content_type == "input_csat":
            message.content = self._automatic.survey_text(conversation)
        if message.public and message.message_type == OUTGOING:
            first = conversation.first_reply_created_at is None
            if first:
                conversation.first_reply_created_at = message.created_at
                then.append(self._events.first_reply(message, echo, user))
            if first or conversation.waiting_since is not None:
                conversation.waiting_since = None
                then.append(self._events.conversation("conversation.updated", conversation, user))
        elif message.private:
            then += self._mentions(message, user)
        if message.attachments:
            then.append(self._events.later(partial(analyse, message), REBUILD))
        if attempt:
            attempt.saved(message.id, message.created_at)
            attempt.expect()
        self._events.message_created(message, echo=echo, performer=user, attempt=attempt, drawn=drawn, then=then)
        return message

    def _mentions(self, note: Message, by: User) -> Iterator[Then]:
        """Yield what a private note tells to the users whom it names."""
        for number in dict.fromkeys(map(int, _MENTION.findall(note.content or ""))):
            user = self._store.user_by_id(number)
            if user and self._store.sees(user, note.conversation.inbox):
                yield self._events.mentioned(note.conversation, user, by)
                yield self._notices.to(user, "conversation_mention", note.conversation, note)

    def activity(self, conversation: Conversation, text: str) -> Then:
        """Return the making and telling of an activity: a line that only agents see. One that ends a conversation brings its survey."""

        def job() -> None:
            if not self._store.flooded(conversation):
                line = self._store.add_message(conversation, text, ACTIVITY, None)
                self._events.message_created(line, then=self._automatic.survey(conversation))

        return self._events.later(job)

    def set_status(
        self, conversation: Conversation, status: str, activity: str, by: User | None = None, *, snoozed_until: int | None = None
    ) -> None:
        """Change a conversation's status; nothing happens where it has it already. `snoozed_until` in Unix microseconds."""
        if (conversation.status, conversation.snoozed_until) == (status, snoozed_until):
            return
        changed = conversation.status != status
        conversation.status, conversation.snoozed_until = status, snoozed_until
        conversation.updated_at = clock.unix_us()
        if changed:
            self._events.conversation("conversation.status_changed", conversation, by)()
        self._events.conversation("conversation.updated", conversation, by)()
        if changed:
            self.activity(conversation, activity)()

    def assign(self, conversation: Conversation, assignee: User | None, by: User) -> None:
        """Assign a conversation, or unassign it; nothing happens where that is so already."""
        if conversation.assignee is assignee:
            return
        conversation.assignee = assignee
        conversation.updated_at = clock.unix_us()
        self._events.conversation("assignee.changed", conversation, by, customer=False)()
        self._events.conversation("conversation.updated", conversation, by)()
        if assignee is None:
            self.activity(conversation, f"Conversation unassigned by {by.name}")()
        elif assignee is by:
            self.activity(conversation, f"{by.name} self-assigned this conversation")()
        else:
            self.activity(conversation, f"Assigned to {assignee.name} by {by.name}")()
            self._notices.to_assignee("conversation_assignment", conversation)()

    def seen_by_customer(self, conversation: Conversation) -> None:
        """The customer looked: every message of the other side not yet read becomes read, one after another, and each is told."""
        conversation.contact_last_seen_at = conversation.updated_at = clock.unix_us()
        self._events.conversation("conversation.read", conversation, customer=False)()
        if self._dialect.marks_read:
            unread = [each for each in conversation.messages if each.message_type != INCOMING and each.status in ("sent", "delivered")]
            self._events.later(partial(self._mark_read, iter(unread)), STATUS)()

    def _mark_read(self, unread: Iterator[Message]) -> None:
        message = next(unread, None)
        if message is None or self._store.flooded(message.conversation):
            return
        before, old = message.updated_at, message.status
        message.status, message.updated_at = "read", clock.unix_us()
        self._events.message_updated(message, {"status": [old, "read"]}, before)()
        self._events.later(partial(self._mark_read, unread), STATUS)()

    def submit(self, message: Message, values: Any) -> None:
        """Store what a customer filled in; a survey's answer makes its response, in a later job."""
        before, old = message.updated_at, message.content_attributes
        message.content_attributes = {**old, "submitted_values": values}
        message.updated_at = clock.unix_us()
        then = self._automatic.survey_answered(message)
        self._events.message_updated(message, {"content_attributes": [old, message.content_attributes]}, before, then=then)()


def analyse(message: Message) -> None:
    """Make the dimensions of a message's images known, as the analysis job does after the answer."""
    for attachment in message.attachments:
        attachment.dimensions = attachment.analysed
