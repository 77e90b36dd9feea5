"""One reply: what is known of it, from due to received, and the line it leaves in deliveries.csv."""

from __future__ import annotations

from typing import Any

from loadkit import clock

__all__ = ["DELIVERY_COLUMNS", "Reply"]

DELIVERY_COLUMNS = "marker,message_id,conversation_id,subscription,worker,agent,request_id,due,sent,answered,received,end,marks,quality"


class Reply:
    """A reply that an agent owes a customer. Stamps are monotonic microseconds, None where there is none.

    `subscription` is the one that asked: ends are told by it. `also` are the other verified subscriptions of the same contact; each is owed
    a copy, and `copies` are those that saw theirs.
    """

    __slots__ = (
        "agent",
        "agent_copy_us",
        "also",
        "answered_us",
        "asked_us",
        "awaited",
        "conversation_id",
        "copies",
        "copies_counted",
        "due_us",
        "end",
        "given_up_us",
        "marker",
        "marks",
        "message_id",
        "quality",
        "received_us",
        "refetched",
        "refetched_ids",
        "refusal",
        "refused_as",
        "request_id",
        "saved",
        "sent_us",
        "status",
        "subscription",
        "unanswered",
        "undecided",
        "unread",
        "worker",
    )

    def __init__(
        self,
        marker: str,
        *,
        conversation_id: int,
        subscription: str,
        agent: int,
        worker: int,
        due_us: int,
        sent_us: int | None = None,
        asked_us: int | None = None,
        also: tuple[str, ...] = (),
    ) -> None:
        self.marker = marker
        self.conversation_id = conversation_id
        self.subscription = subscription
        self.agent = agent
        self.worker = worker
        self.due_us = due_us
        self.sent_us = sent_us
        self.asked_us = asked_us
        self.also = also
        self.copies: frozenset[str] = frozenset()
        self.copies_counted = (0, 0)
        self.answered_us: int | None = None
        self.given_up_us: int | None = None
        self.received_us: int | None = None
        self.message_id: int | None = None
        self.status: int | None = None
        self.request_id = ""
        self.refusal = ""
        self.refused_as = ""
        self.unanswered = False
        self.undecided = False
        self.unread = False
        """Whether it is counted as undetermined for want of a readable list."""
        self.awaited = False
        self.refetched = False
        self.refetched_ids: set[int] | None = None
        self.quality = ""
        self.saved: Any = None
        """When the server saved it, as its frame says it."""
        self.agent_copy_us: int | None = None
        self.end: str | None = None
        self.marks: tuple[str, ...] = ()

    @property
    def posted(self) -> bool:
        """Whether nothing more is to come of its POST: it was answered, given up, or never began."""
        return self.sent_us is None or self.status is not None or self.unanswered

    def awaits_more(self, end: str | None) -> bool:
        """Whether frames may still come after it reached an end: its own where only a refetch has shown it, or copies that are owed."""
        return (end == "recovered" and self.awaited) or (end != "refused" and len(self.copies) < len(self.also))

    @property
    def lost_from_us(self) -> int:
        """The stamp from which the time until it is lost runs: due, but never before it was sent."""
        return max(self.due_us, self.sent_us or self.due_us)

    def facts(self) -> dict[str, Any]:
        """Return what a person needs to find this reply in a server's log; times in ms, `due_at` in Unix seconds."""
        sent, received = self.sent_us, self.received_us
        facts = {
            "marker": self.marker,
            "message_id": self.message_id,
            "conversation_id": self.conversation_id,
            "request_id": self.request_id,
            "agent": self.agent,
            "due_at": round(clock.to_unix_us(self.due_us) / 1e6, 3),
            "lag_ms": None if sent is None else (sent - self.due_us) / 1e3,
            "post_ms": None if self.answered_us is None or sent is None else (self.answered_us - sent) / 1e3,
            "response_ms": None if received is None else (received - self.due_us) / 1e3,
            "delivery_ms": None if received is None or sent is None else (received - sent) / 1e3,
        }
        return {name: value for name, value in facts.items() if value not in (None, "")}

    def line(self) -> str:
        """Return the line of deliveries.csv, without its end of line; times in Unix microseconds."""
        offset = clock.to_unix_us(0)
        stamps = ("" if us is None else str(us + offset) for us in (self.due_us, self.sent_us, self.answered_us, self.received_us))
        fields = (
            self.marker,
            "" if self.message_id is None else str(self.message_id),
            str(self.conversation_id),
            self.subscription,
            str(self.worker),
            str(self.agent),
            self.request_id,
            *stamps,
            self.end or "",
            "+".join(self.marks),
            self.quality,
        )
        return ",".join(_quoted(field) for field in fields)


def _quoted(field: str) -> str:
    if any(sign in field for sign in ',"\r\n'):
        return '"' + field.replace('"', '""') + '"'
    return field
