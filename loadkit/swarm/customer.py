"""A customer as the run knows one: contact, conversations, cable, and the replies that are owed. It may outlive its Locust user.

It sends nothing by itself; `carry` is lent by the user whose HTTP client it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from loadkit import clock
from loadkit.chat.contact import ContactApi
from loadkit.chat.models import Contact, Conversation, Message
from loadkit.chat.request import Request

if TYPE_CHECKING:
    from loadkit.cable.connection import Cable

__all__ = ["Customer", "Session"]

MOST_PAGES, MOST_CONVERSATIONS = 10, 20

Carry = Callable[[Request, Any], Any]
"""Sends a request and returns the decoded answer, or None where it failed and was counted."""


class Session:
    """A further session of a customer's verified contact, as on a second device: a name of its own (`key`) and a cable of its own.

    Every reply to the customer is owed a copy there. Nobody asks or reads there.
    """

    __slots__ = ("cable", "customer", "key")

    def __init__(self, customer: Customer, key: str) -> None:
        self.customer, self.key = customer, key
        self.cable: Cable | None = None


class Customer:
    """One customer: `key` is the contact's source_id, the name of the subscription."""

    __slots__ = (
        "_changed",
        "_known",
        "api",
        "began_us",
        "cable",
        "carry",
        "contact",
        "conversation_id",
        "conversations",
        "form",
        "identifier",
        "is_verified",
        "key",
        "newest_message",
        "owed",
        "sessions",
        "unanswered",
        "unechoed",
        "uuid",
        "was_confirmed",
    )

    def __init__(self, api: ContactApi, carry: Carry) -> None:
        self.api = api
        self.carry = carry
        self.contact: Contact | None = None
        self.key = ""
        """The contact's source_id, "" before there is one."""
        self.identifier: str | None = None
        """What the customer is known as elsewhere, where HMAC needs it."""
        self.is_verified = False
        """Whether the server has taken a proof of the identity for this session: creating the contact is none."""
        self.conversation_id: int | None = None
        self.uuid: str | None = None
        """The conversation's uuid, by which its survey is found; a server may not tell it."""
        self.conversations: list[int] = []
        self.cable: Cable | None = None
        self.sessions: list[Session] = []
        """The further sessions, each verified and its subscription confirmed at least once."""
        self.began_us = clock.now_us()
        self.was_confirmed = False
        self.newest_message = 0
        self.unechoed: dict[str, int] = {}
        """Markers of own messages whose frame has not come, with their sent stamps (µs)."""
        self.unanswered: set[str] = set()
        """Markers of the replies that this customer waits for."""
        self.form: tuple[int, Message] | None = None
        """The newest form that is not filled in yet, with its conversation's id."""
        self.owed = 0
        """Questions that an agent has picked up and not yet attempted to answer."""
        self._changed: Event | None = None
        self._known: int | None = None

    def become(self, contact: Contact) -> None:
        """Take the contact that the server made for this customer."""
        self.contact, self.key = contact, contact.source_id

    def enter(self, conversation: Conversation) -> None:
        """Take a conversation that the server opened for this customer: from here on it is the one that is talked in."""
        self.conversation_id, self.uuid = conversation.id, conversation.uuid
        self.conversations.append(conversation.id)

    def note_proof(self) -> None:
        """Note that the server took a request that carries the proof, if there is any: the session is verified from here on."""
        self.is_verified = self.can_prove

    def recognize(self, conversation: Conversation) -> None:
        """Learn the uuid of the conversation that is talked in, where only its id was known."""
        if conversation.id == self.conversation_id:
            self.uuid = conversation.uuid

    @property
    def can_prove(self) -> bool:
        """Whether this customer can prove who it is: there is an identifier, and the inbox's key."""
        return self.identifier is not None and self.api.has_key

    @property
    def is_open(self) -> bool:
        """Whether the cable is confirmed now."""
        return self.cable is not None and self.cable.is_confirmed

    @property
    def cables(self) -> list[Cable]:
        """Every cable that there is, each confirmed at least once: the own one and those of further sessions."""
        return [cable for cable in (self.cable, *(session.cable for session in self.sessions)) if cable is not None]

    @property
    def open_cables(self) -> int:
        """How many cables are confirmed now."""
        return sum(cable.is_confirmed for cable in self.cables) if self.sessions else self.is_open

    def wanted_cables(self, now_us: int) -> int:
        """How many cables should be open: the own one from its first confirmation on, in any case ten seconds after the customer came."""
        return (self.was_confirmed or now_us - self.began_us > 10_000_000) + len(self.sessions)

    def notify(self) -> None:
        """Wake whoever waits for an echo or a reply; frames for which nobody waits cost nothing here."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the next `notify`, at most so long; return whether it came."""
        if self._changed is None:
            self._changed = Event()
        return bool(self._changed.wait(seconds))

    def view(self) -> Contact | None:
        """Read what the server knows of this customer, None if that failed; where there is a key, the proof goes with it."""
        shown: Contact | None = self.carry(self.api.show_contact(self.key, identifier=self.identifier), Contact)
        if shown is not None:
            self.note_proof()
        return shown

    def list_conversations(self) -> list[Conversation] | None:
        """Read the session's conversations; None if that failed, as it does on the real server once the session is verified."""
        request = self.api.list_conversations(self.key, is_verified=self.is_verified)
        shown: list[Conversation] | None = self.carry(request, list[Conversation])
        return shown

    def page(self, conversation_id: int, *, before: int | None = None) -> list[Message] | None:
        """Read a page of a conversation's history, newest page first; None where the request failed."""
        request = self.api.list_messages(self.key, conversation_id, before=before)
        page: list[Message] | None = self.carry(request, list[Message])
        return page

    def miss(self) -> None:
        """Note that messages may be missed from now on: a refetch reads back to what is known at this moment."""
        if self._known is None:
            self._known = self.newest_message

    def refetch(self) -> list[int]:
        """Read back, as the stock client does after a reconnect, until a message that was known at the drop; return the ids.

        A customer with several conversations reads each of them, the newest twenty at most. Where a request failed, the next refetch reads
        back as far again.
        """
        known, ids, is_whole = self.newest_message if self._known is None else self._known, [], True
        for conversation_id in reversed(self.conversations[-MOST_CONVERSATIONS:]):
            before: int | None = None
            for _ in range(MOST_PAGES):
                page = self.page(conversation_id, before=before)
                is_whole &= page is not None
                if not page:
                    break
                ids += [message.id for message in page]
                before = min(message.id for message in page)
                if before <= known:
                    break
        if is_whole:
            self._known = None
        self.newest_message = max([self.newest_message, *ids])
        return ids
