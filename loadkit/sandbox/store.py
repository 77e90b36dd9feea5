"""The imitated database: tables in memory, look-ups, and the making of rows. Everything random comes from one seed.

It knows no HTTP and tells nobody; what an action causes beyond its rows is in `events.py`.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

from loadkit import clock
from loadkit.sandbox.dialect import PRESENT, Dialect
from loadkit.sandbox.rows import (
    INCOMING,
    Attachment,
    Contact,
    Conversation,
    Inbox,
    Message,
    Session,
    User,
)
from loadkit.sandbox.settings import InboxSettings

__all__ = ["ACCOUNT", "ACCOUNT_NAME", "FLOOD_LIMIT", "Store"]

ACCOUNT = 1
ACCOUNT_NAME = "Sandbox"
FLOOD_LIMIT = 200
FLOOD_WINDOW_US = 60_000_000

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ADJECTIVES = ("spring", "twilight", "autumn", "quiet", "misty", "bold", "silent", "amber", "crimson", "still")
_NOUNS = ("brook", "water", "river", "meadow", "cloud", "hill", "field", "star", "leaf", "stone")
_FIRST = ("Gil", "Noa", "Mia", "Jon", "Lea", "Tom", "Ida", "Max", "Eva", "Ben")


class Store:
    """One account with one administrator (user 1), agents in every inbox, and two API inboxes: plain and HMAC-mandatory."""

    def __init__(self, *, seed: int = 0, agents: int = 3, dialect: Dialect = PRESENT) -> None:
        self._limits_floods = dialect.limits_floods
        self._rng = random.Random(f"store {seed}")
        self._last_id: dict[str, int] = {}
        self.users: list[User] = []
        self.inboxes: list[Inbox] = []
        self.contacts: dict[int, Contact] = {}
        self.sessions: dict[tuple[int, str], Session] = {}
        self.conversations: dict[int, Conversation] = {}
        self.messages = 0
        self._by_access_token: dict[str, User] = {}
        self._users_by_pubsub: dict[str, User] = {}
        self._sessions_by_pubsub: dict[str, Session] = {}
        self._contacts_by: dict[tuple[str, str], Contact] = {}
        self.plain = self.add_inbox("Plain")
        self.verified = self.add_inbox("Verified", mandatory=True)
        self.admin = self.add_user("Ada Admin", role="administrator", inboxes=(self.plain,))
        for number in range(agents):
            name = _FIRST[number] if number < len(_FIRST) else f"No {number + 1}"
            self.add_user(f"{name} Agent", inboxes=tuple(self.inboxes))

    def token(self) -> str:
        """Return a fresh secret: 24 characters of base58."""
        return "".join(self._rng.choices(_BASE58, k=24))

    def next_id(self, table: str) -> int:
        """Return the next id of a table."""
        self._last_id[table] = self._last_id.get(table, 0) + 1
        return self._last_id[table]

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def add_inbox(self, name: str, *, mandatory: bool = False, settings: InboxSettings | None = None) -> Inbox:
        """Make an inbox without members; `mandatory` demands a proof of identity."""
        inbox = Inbox(self.next_id("inboxes"), name, self.token(), self.token(), mandatory, settings or InboxSettings())
        self.inboxes.append(inbox)
        return inbox

    def add_user(self, name: str, *, role: str = "agent", inboxes: tuple[Inbox, ...] = (), email: str | None = None) -> User:
        """Make a user, a member of the given inboxes. Only before the server runs, or from its own thread."""
        number = self.next_id("users")
        address = email or f"{name.lower().replace(' ', '.')}@example.test"
        user = User(number, name, address, role, self.token(), self.token())
        self.users.append(user)
        self._by_access_token[user.access_token] = user
        self._users_by_pubsub[user.pubsub_token] = user
        for inbox in inboxes:
            inbox.members.append(user)
        return user

    def inbox(self, identifier: str) -> Inbox | None:
        """Return the inbox of a public identifier, or None."""
        return next((inbox for inbox in self.inboxes if inbox.identifier == identifier), None)

    def remove_user(self, user: User) -> None:
        """Take a user out of the account: both tokens are worth nothing any more, their conversations belong to nobody."""
        self.users.remove(user)
        del self._by_access_token[user.access_token], self._users_by_pubsub[user.pubsub_token]
        for inbox in self.inboxes:
            if user in inbox.members:
                inbox.members.remove(user)
        for conversation in self.conversations.values():
            if conversation.assignee is user:
                conversation.assignee = None

    def inbox_by_id(self, number: int | None) -> Inbox | None:
        """Return the inbox of an id, or None."""
        return next((inbox for inbox in self.inboxes if inbox.id == number), None)

    def user_by_id(self, number: int | None) -> User | None:
        """Return the user of an id, or None."""
        return next((user for user in self.users if user.id == number), None)

    def user(self, access_token: str) -> User | None:
        """Return the user of an access token, or None."""
        return self._by_access_token.get(access_token)

    def user_on_cable(self, pubsub_token: str) -> User | None:
        """Return the user of a cable token, or None."""
        return self._users_by_pubsub.get(pubsub_token)

    def session_on_cable(self, pubsub_token: str) -> Session | None:
        """Return the contact session of a cable token, or None."""
        return self._sessions_by_pubsub.get(pubsub_token)

    def contact_by(self, key: str, value: str | None) -> Contact | None:
        """Return the contact with this `identifier`, `email` or `phone_number`, or None."""
        return self._contacts_by.get((key, value)) if value else None

    def staff(self, inbox: Inbox) -> list[User]:
        """Return who hears of an inbox's conversations: its members, then the administrators, each once."""
        administrators = [user for user in self.users if user.role == "administrator" and user not in inbox.members]
        return inbox.members + administrators

    def sees(self, user: User, inbox: Inbox) -> bool:
        """Return whether a user may work in an inbox."""
        return user.role == "administrator" or user in inbox.members

    def add_contact(self, fields: dict[str, Any]) -> Contact:
        """Make a contact of `Contact` fields; without a name it gets a made-up one."""
        now = clock.unix_us()
        name = fields.pop("name", None)
        if name is None:
            name = f"{self._rng.choice(_ADJECTIVES)}-{self._rng.choice(_NOUNS)}-{self._rng.randrange(100, 1000)}"
        contact = Contact(self.next_id("contacts"), name, now, now, **fields)
        self.contacts[contact.id] = contact
        self.index(contact)
        return contact

    def index(self, contact: Contact) -> None:
        """Make a contact findable by what it has now."""
        for key in ("identifier", "email", "phone_number"):
            if value := getattr(contact, key):
                self._contacts_by[(key, value)] = contact

    def unindex(self, contact: Contact) -> None:
        """Forget by what a contact was findable, before that changes."""
        for key in ("identifier", "email", "phone_number"):
            self._contacts_by.pop((key, getattr(contact, key)), None)

    def add_session(self, contact: Contact, inbox: Inbox, source_id: str | None) -> Session:
        """Make a session; without a `source_id` it gets a UUID."""
        now = clock.unix_us()
        session = Session(self.next_id("sessions"), contact, inbox, source_id or self._uuid(), self.token(), now, now)
        contact.sessions.append(session)
        self.sessions[(inbox.id, session.source_id)] = session
        self._sessions_by_pubsub[session.pubsub_token] = session
        return session

    def drop_session(self, session: Session) -> None:
        """Forget a session with its conversations and their messages."""
        del self.sessions[(session.inbox.id, session.source_id)], self._sessions_by_pubsub[session.pubsub_token]
        session.contact.sessions.remove(session)
        for conversation in session.conversations:
            del self.conversations[conversation.id]
            self.messages -= len(conversation.messages)

    def add_conversation(self, session: Session, custom_attributes: dict[str, Any], **more: Any) -> Conversation:
        """Make a conversation: open, its customer waiting from now on; `more` are further `Conversation` fields."""
        now, number = clock.unix_us(), self.next_id("conversations")
        conversation = Conversation(number, self._uuid(), session, now, now, now, now, custom_attributes, **more)
        session.conversations.append(conversation)
        self.conversations[conversation.id] = conversation
        return conversation

    def flooded(self, conversation: Conversation) -> bool:
        """Return whether a conversation had 200 messages within the last minute, so takes no other."""
        if not self._limits_floods or len(conversation.messages) < FLOOD_LIMIT:
            return False
        return conversation.messages[-FLOOD_LIMIT].created_at > clock.unix_us() - FLOOD_WINDOW_US

    def add_message(
        self, conversation: Conversation, content: str | None, message_type: int, sender: User | Contact | None, **more: Any
    ) -> Message:
        """Make a message; `more` are further `Message` fields. The conversation's and its contact's activity follow it."""
        now = clock.unix_us()
        message = Message(self.next_id("messages"), conversation, content, message_type, sender, now, now, **more)
        conversation.messages.append(message)
        conversation.last_activity_at = conversation.updated_at = now
        self.messages += 1
        if message_type == INCOMING:
            conversation.unread += 1
            conversation.contact.last_activity_at = conversation.contact.updated_at = now
        return message

    def add_attachment(self, name: str, file_type: str, size: int, dimensions: tuple[int, int] | None) -> Attachment:
        """Make an attachment of a file that was posted."""
        key = "".join(self._rng.choices("0123456789abcdef", k=40))
        return Attachment(self.next_id("attachments"), file_type, name, key, size, dimensions)
