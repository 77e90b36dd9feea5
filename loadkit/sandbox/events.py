"""What each action tells over the cable: which events, to whom, in which causal order, and when their payload is built.

Payloads of `conversation.*` after creation are read again when their job runs, all others are frozen in the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from loadkit import clock
from loadkit.sandbox.broadcast import Broadcasts, Then
from loadkit.sandbox.delivery import Delivery, Parcel
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.faults import Drawn
from loadkit.sandbox.payloads import Availability, contact_event, conversation_event, message_event, nobody_known, user_event
from loadkit.sandbox.pipeline import BROADCAST, REBUILD
from loadkit.sandbox.rows import Contact, Conversation, Message, User
from loadkit.sandbox.truth import Attempt
from loadkit.sandbox.words import iso

__all__ = ["Events"]


class Events:
    """The announcer: its methods queue the jobs that tell of an action; `host` is the server's own address in links."""

    def __init__(self, broadcasts: Broadcasts, delivery: Delivery, dialect: Dialect, host: str) -> None:
        self._broadcasts = broadcasts
        self._delivery = delivery
        self._dialect = dialect
        self._host = host
        self.later = broadcasts.later

    def contact(self, event: str, contact: Contact, performer: User | None = None) -> Then:
        """Return the telling of a `contact.*` event, frozen now, to the whole account."""
        return self._broadcasts.frozen(self._broadcasts.account(), event, contact_event(contact), performer)

    def caches_changed(self, performer: User | None = None) -> None:
        """Queue that what apps keep of the account's inboxes, labels and teams is stale."""
        keys = dict.fromkeys(("label", "inbox", "team"), str(clock.unix_us() // 1_000_000))
        self._broadcasts.frozen(self._broadcasts.everybody(), "account.cache_invalidated", {"cache_keys": keys}, performer)()

    def message_created(
        self,
        message: Message,
        *,
        echo: dict[str, Any] | None = None,
        performer: User | None = None,
        attempt: Attempt | None = None,
        drawn: Drawn | None = None,
        then: Iterable[Then] = (),
    ) -> None:
        """Queue `message.created`, and once it is written whatever else the action causes."""
        conversation = message.conversation
        data = message_event(message, self._host, self._broadcasts.availability(performer)) | (echo or {})
        body = self._broadcasts.body("message.created", data, performer)
        staff = self._broadcasts.staff(conversation)
        customers = self._broadcasts.customers(conversation) if message.public else ()
        parcel = Parcel(conversation.session, conversation.id, tuple(customers), body, attempt, drawn)

        def job() -> None:
            self._broadcasts.publish(staff, body)
            if message.public:
                self._delivery.deliver(parcel)
            for follow in then:
                follow()

        self.later(job, BROADCAST, recipients=len(staff) + len(customers))()

    def first_reply(self, message: Message, echo: dict[str, Any], performer: User) -> Then:
        """Return the telling of `first.reply.created` to the agents."""
        data = message_event(message, self._host, self._broadcasts.availability(performer)) | echo
        return self._broadcasts.frozen(self._broadcasts.staff(message.conversation), "first.reply.created", data, performer)

    def message_updated(
        self, message: Message, previous: dict[str, Any], before_us: int, performer: User | None = None, *, then: Iterable[Then] = ()
    ) -> Then:
        """Return the telling of `message.updated`; `previous` maps a changed attribute to [old, new]."""
        changes = {"updated_at": [iso(before_us), iso(message.updated_at)], **previous}
        data = message_event(message, self._host, self._broadcasts.availability(performer)) | {"previous_changes": changes}
        streams = self._broadcasts.staff(message.conversation)
        if message.public:
            streams += self._broadcasts.customers(message.conversation)
        return self._broadcasts.frozen(streams, "message.updated", data, performer, then=then)

    def conversation_created(self, conversation: Conversation, performer: User | None = None, *, then: Iterable[Then] = ()) -> None:
        """Queue `conversation.created`, to the customer too."""
        data = self._shape(conversation, self._broadcasts.availability(performer))
        streams = self._broadcasts.staff(conversation) + self._broadcasts.customers(conversation)
        self._broadcasts.frozen(streams, "conversation.created", data, performer, then=then)()

    def conversation(self, event: str, conversation: Conversation, performer: User | None = None, *, customer: bool = True) -> Then:
        """Return the telling of a `conversation.*` event or `assignee.changed`, its payload read when the job runs."""
        if not self._dialect.rebuilds:
            data = self._shape(conversation, self._broadcasts.availability(performer))
            return self._broadcasts.frozen(self._hearers(conversation, customer), event, data, performer)

        def job() -> None:
            body = self._broadcasts.body(event, self._shape(conversation))
            self._broadcasts.publish(self._hearers(conversation, customer), body)

        return self.later(job, REBUILD, recipients=len(self._hearers(conversation, customer)))

    def to_staff(self, event: str, conversation: Conversation, performer: User | None = None) -> Then:
        """Return the telling of a `conversation.*` event frozen now, to the agents alone."""
        data = self._shape(conversation, self._broadcasts.availability(performer))
        return self._broadcasts.frozen(self._broadcasts.staff(conversation), event, data, performer)

    def mentioned(self, conversation: Conversation, user: User, performer: User) -> Then:
        """Return the telling of `conversation.mentioned` to whom a private note names."""
        data = self._shape(conversation, self._broadcasts.availability(performer))
        return self._broadcasts.frozen([user.pubsub_token], "conversation.mentioned", data, performer)

    def typing(self, conversation: Conversation, *, on: bool, user: User | None, private: Any = False) -> None:
        """Queue `conversation.typing_on` or `.typing_off` to everybody but who types: `user`, or the customer."""
        availability = self._broadcasts.availability(user)
        data = {
            "conversation": self._shape(conversation, availability),
            "user": user_event(user, availability) if user else contact_event(conversation.contact),
            "is_private": private,
        }
        streams = [stream for stream in self._broadcasts.staff(conversation) if user is None or stream != user.pubsub_token]
        if user:
            streams.append(conversation.session.pubsub_token)
        self._broadcasts.frozen(streams, f"conversation.typing_{'on' if on else 'off'}", data, user)()

    def call(self, event: str, conversation: Conversation, call: dict[str, Any], user: User) -> None:
        """Queue `call.created` or `.ended` to the conversation's own session alone."""
        self._broadcasts.frozen([conversation.session.pubsub_token], event, {"call_data": call}, user)()

    def _hearers(self, conversation: Conversation, customer: bool) -> list[str]:
        return self._broadcasts.staff(conversation) + (self._broadcasts.customers(conversation) if customer else [])

    def _shape(self, conversation: Conversation, availability: Availability = nobody_known) -> dict[str, Any]:
        return conversation_event(conversation, self._host, availability, dialect=self._dialect)
