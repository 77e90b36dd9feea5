"""What each action tells over the cable: which events, to whom, in which causal order, and when their payload is built.

Recipients of one broadcast are written members first, administrators next, the customer last. Payloads of `conversation.*` after
creation are read again when their job runs, all others are frozen in the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from loadkit.sandbox.cable import Cable
from loadkit.sandbox.delivery import Delivery, Parcel
from loadkit.sandbox.faults import Drawn
from loadkit.sandbox.payloads import (
    Availability,
    contact_event,
    conversation_event,
    message_event,
    nobody_known,
    notification_event,
    user_event,
)
from loadkit.sandbox.pipeline import BROADCAST, DISPATCH, REBUILD, Pipeline
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.rows import ACTIVITY, Contact, Conversation, Message, Notification, User
from loadkit.sandbox.store import ACCOUNT, Store
from loadkit.sandbox.truth import Attempt
from loadkit.sandbox.words import encode, iso

__all__ = ["Events", "Then"]

Then = Callable[[], None]


class Events:
    """The announcer: its methods queue the jobs that tell of an action; `host` is the server's own address in links."""

    def __init__(self, store: Store, cable: Cable, presence: Presence, pipeline: Pipeline, delivery: Delivery, host: str) -> None:
        self._store = store
        self._cable = cable
        self._presence = presence
        self._pipeline = pipeline
        self._delivery = delivery
        self._host = host

    def contact(self, event: str, contact: Contact) -> Then:
        """Return the telling of `contact.created` or `contact.updated`, frozen now, to the whole account."""
        return self._frozen([f"account_{ACCOUNT}"], event, contact_event(contact))

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
        availability = self._availability(performer)
        data = message_event(message, self._host, availability) | (echo or {})
        body = self._body("message.created", data, performer)
        staff, customers = self._staff(conversation), self._customers(conversation) if message.public else ()
        parcel = Parcel(conversation.session, conversation.id, tuple(customers), body, attempt, drawn)

        def job() -> None:
            for stream in staff:
                self._cable.publish(stream, body)
            if message.public:
                self._delivery.deliver(parcel)
            for follow in then:
                follow()

        self._pipeline.queue(BROADCAST, job, recipients=len(staff) + len(customers))

    def first_reply(self, message: Message, echo: dict[str, Any], performer: User) -> Then:
        """Return the telling of `first.reply.created` to the agents."""
        data = message_event(message, self._host, self._availability(performer)) | echo
        return self._frozen(self._staff(message.conversation), "first.reply.created", data, performer)

    def message_updated(self, message: Message, previous: dict[str, Any], before_us: int) -> Then:
        """Return the telling of `message.updated`; `previous` maps a changed attribute to [old, new]."""
        changes = {"updated_at": [iso(before_us), iso(message.updated_at)], **previous}
        data = message_event(message, self._host) | {"previous_changes": changes}
        streams = self._staff(message.conversation)
        if message.public:
            streams += self._customers(message.conversation)
        return self._frozen(streams, "message.updated", data)

    def conversation_created(self, conversation: Conversation, *, then: Iterable[Then] = ()) -> None:
        """Queue `conversation.created`, to the customer too."""
        data = conversation_event(conversation, self._host)
        streams = self._staff(conversation) + self._customers(conversation)
        self._frozen(streams, "conversation.created", data, then=then)()

    def conversation(self, event: str, conversation: Conversation, *, customer: bool = True) -> Then:
        """Return the telling of a `conversation.*` event or `assignee.changed`, its payload read when the job runs."""

        def job() -> None:
            body = self._body(event, conversation_event(conversation, self._host))
            for stream in self._staff(conversation) + (self._customers(conversation) if customer else []):
                self._cable.publish(stream, body)

        recipients = len(self._store.staff(conversation.inbox)) + customer
        return partial(self._pipeline.queue, REBUILD, job, recipients=recipients)

    def typing(self, conversation: Conversation, *, on: bool, user: User | None, private: Any = False) -> None:
        """Queue `conversation.typing_on` or `.typing_off` to everybody but who types: `user`, or the customer."""
        availability = self._availability(user)
        data = {
            "conversation": conversation_event(conversation, self._host, availability),
            "user": user_event(user, availability) if user else contact_event(conversation.contact),
            "is_private": private,
        }
        streams = [stream for stream in self._staff(conversation) if user is None or stream != user.pubsub_token]
        if user:
            streams.append(conversation.session.pubsub_token)
        self._frozen(streams, f"conversation.typing_{'on' if on else 'off'}", data, user)()

    def activity(self, conversation: Conversation, text: str) -> Then:
        """Return the making and telling of an activity: a line that only agents see."""

        def job() -> None:
            if not self._store.flooded(conversation):
                self.message_created(self._store.add_message(conversation, text, ACTIVITY, None))

        return partial(self._pipeline.queue, DISPATCH, job)

    def in_background(self, job: Then) -> Then:
        """Return the queueing of a slow job that tells nobody."""
        return partial(self._pipeline.queue, REBUILD, job)

    def notification(self, kind: str, conversation: Conversation, message: Message | None = None) -> Then:
        """Return the telling of a notification to the assignee; the older one of that conversation is deleted after it."""
        user = conversation.assignee

        def job() -> None:
            if user is None:
                return
            newest = self._store.notify(user, kind, conversation, message)
            data = {"notification": notification_event(newest, self._host), **self._counts(user)}
            then = partial(self._pipeline.queue, DISPATCH, partial(self._delete_older, newest))
            self._frozen([user.pubsub_token], "notification.created", data, then=[then])()

        return partial(self._pipeline.queue, DISPATCH, job)

    def _delete_older(self, newest: Notification) -> None:
        for older in self._store.replaced(newest):
            data = {"notification": {"id": older.id}, **self._counts(newest.user)}
            self._frozen([newest.user.pubsub_token], "notification.deleted", data)()

    def _counts(self, user: User) -> dict[str, int]:
        unread = self._store.unread_notifications(user)
        return {"unread_count": unread, "count": unread}

    def _availability(self, performer: User | None) -> Availability:
        return self._presence.availability if performer else nobody_known

    def _staff(self, conversation: Conversation) -> list[str]:
        return [user.pubsub_token for user in self._store.staff(conversation.inbox)]

    def _customers(self, conversation: Conversation) -> list[str]:
        session = conversation.session
        if not session.hmac_verified:
            return [session.pubsub_token]
        return [each.pubsub_token for each in session.contact.sessions if each.hmac_verified]

    def _body(self, event: str, data: dict[str, Any], performer: User | None = None) -> bytes:
        full = data | {"account_id": ACCOUNT}
        if performer:
            full["performer"] = user_event(performer, self._presence.availability)
        return encode({"event": event, "data": full})

    def _frozen(
        self,
        streams: list[str],
        event: str,
        data: dict[str, Any],
        performer: User | None = None,
        *,
        then: Iterable[Then] = (),
    ) -> Then:
        body = self._body(event, data, performer)

        def job() -> None:
            for stream in streams:
                self._cable.publish(stream, body)
            for follow in then:
                follow()

        return partial(self._pipeline.queue, BROADCAST, job, recipients=len(streams))
