"""Who hears of what, and the queueing of it: recipients in the order in which they are written, payloads frozen in the request.

Of one broadcast the members are written first, administrators next, the customer last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from loadkit.sandbox.cable import Cable
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.payloads import Availability, nobody_known, user_event
from loadkit.sandbox.pipeline import BROADCAST, DISPATCH, Pipeline
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.service import Kind
from loadkit.sandbox.store import ACCOUNT, Store
from loadkit.sandbox.words import encode

__all__ = ["Broadcasts", "Then"]

Then = Callable[[], None]


class Broadcasts:
    """The way from an event to the streams of the cable, through the job queues."""

    def __init__(self, store: Store, cable: Cable, presence: Presence, pipeline: Pipeline, dialect: Dialect) -> None:
        self._store = store
        self._cable = cable
        self._presence = presence
        self._pipeline = pipeline
        self._dialect = dialect

    def staff(self, conversation: Conversation) -> list[str]:
        """Return the streams of an inbox's members and of all administrators."""
        return [user.pubsub_token for user in self._store.staff(conversation.inbox)]

    def customers(self, conversation: Conversation) -> list[str]:
        """Return the stream of a conversation's session; of a verified one those of all verified sessions of the contact."""
        session = conversation.session
        if not session.hmac_verified:
            return [session.pubsub_token]
        return [each.pubsub_token for each in session.contact.sessions if each.hmac_verified]

    def everybody(self) -> list[str]:
        """Return the streams of all who work in the account."""
        return [user.pubsub_token for user in self._store.users]

    def account(self) -> list[str]:
        """Return where events of the account go: its own stream, in the older dialect everybody's."""
        return [f"account_{ACCOUNT}"] if self._dialect.has_account_stream else self.everybody()

    def availability(self, performer: User | None) -> Availability:
        """Return what is known of users' availability: nothing, unless a user's own request is at work."""
        return self._presence.availability if performer else nobody_known

    def body(self, event: str, data: dict[str, Any], performer: User | None = None) -> bytes:
        """Return an event as it stands in a data frame."""
        full = data | {"account_id": ACCOUNT}
        if performer:
            full["performer"] = user_event(performer, self._presence.availability)
        return encode({"event": event, "data": full})

    def publish(self, streams: Iterable[str], body: bytes) -> None:
        """Write an event to streams, one after another."""
        for stream in streams:
            self._cable.publish(stream, body)

    def later(self, job: Then, kind: Kind = DISPATCH, *, recipients: int = 1) -> Then:
        """Return the queueing of a job."""
        return partial(self._pipeline.queue, kind, job, recipients=recipients)

    def frozen(
        self, streams: list[str], event: str, data: dict[str, Any], performer: User | None = None, *, then: Iterable[Then] = ()
    ) -> Then:
        """Return the telling of an event whose payload is as it is now; `then` follows when it was written."""
        body = self.body(event, data, performer)

        def job() -> None:
            self.publish(streams, body)
            for follow in then:
                follow()

        return self.later(job, BROADCAST, recipients=len(streams))
