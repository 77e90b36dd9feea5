"""What the server says by itself where an inbox is set so: greeting, out of office, and the survey after the end of a conversation."""

from __future__ import annotations

from functools import partial
from typing import Any

from loadkit import clock
from loadkit.sandbox.broadcast import Then
from loadkit.sandbox.events import Events
from loadkit.sandbox.rows import OUTGOING, TEMPLATE, Conversation, CsatResponse, Message
from loadkit.sandbox.settings import zone
from loadkit.sandbox.store import Store

__all__ = ["CSAT", "Automatic"]

CSAT = "input_csat"
ANSWERED_LATELY_US = 300_000_000


class Automatic:
    """The automatic messages; `host` is the server's own address in links."""

    def __init__(self, store: Store, events: Events, host: str) -> None:
        self._store = store
        self._events = events
        self._host = host

    def answers(self, conversation: Conversation) -> list[Then]:
        """Return the tellings of what a customer's message is answered with; the rows are made at once, inside the customer's POST."""
        texts = []
        if self._away(conversation):
            texts.append(conversation.inbox.settings.out_of_office_message)
        elif self._greets(conversation):
            texts.append(conversation.inbox.settings.greeting_message)
        if not texts or self._store.flooded(conversation):
            return []
        return [self._told(self._store.add_message(conversation, text, TEMPLATE, None)) for text in texts]

    def _told(self, message: Message) -> Then:
        return partial(self._events.message_created, message)

    def _away(self, conversation: Conversation) -> bool:
        """Whether nobody is there: closed now, nothing automatic said today, and no agent's word within five minutes."""
        settings, now = conversation.inbox.settings, clock.unix_us()
        if not settings.out_of_office_message or not settings.closed_at(clock.utc()):
            return False
        midnight = clock.utc().astimezone(zone("UTC")).replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1e6
        return not any(
            (each.message_type == TEMPLATE and each.created_at >= midnight)
            or (each.message_type == OUTGOING and each.created_at > now - ANSWERED_LATELY_US)
            for each in conversation.messages
        )

    def _greets(self, conversation: Conversation) -> bool:
        """Whether the inbox greets, and nobody but the customer has said anything yet."""
        settings = conversation.inbox.settings
        if not (settings.greeting_enabled and settings.greeting_message):
            return False
        return not any(each.message_type in (OUTGOING, TEMPLATE) for each in conversation.messages)

    def survey(self, conversation: Conversation) -> list[Then]:
        """Return the telling of the survey where a conversation has ended and its inbox asks; once in a conversation."""
        settings = conversation.inbox.settings
        if not settings.csat_survey_enabled or conversation.status != "resolved":
            return []
        if any(each.content_type == CSAT for each in conversation.messages) or self._store.flooded(conversation):
            return []
        attributes = {"display_type": settings.csat_config.get("display_type", "emoji")}
        text = self.survey_text(conversation)
        message = self._store.add_message(conversation, text, TEMPLATE, None, content_type=CSAT, content_attributes=attributes)
        return [self._told(message)]

    def survey_text(self, conversation: Conversation) -> str:
        """Return the text that takes the place of a survey's own."""
        return f"Please rate this conversation, {self._host}/survey/responses/{conversation.uuid}"

    def survey_answered(self, message: Message) -> list[Then]:
        """Return the making of a survey's response, a job of its own; nothing for other messages."""
        values = message.content_attributes.get("submitted_values")
        answer = values.get("csat_survey_response") if isinstance(values, dict) else None
        if message.content_type != CSAT or not isinstance(answer, dict):
            return []
        return [self._events.later(partial(self._respond, message, answer))]

    def _respond(self, message: Message, answer: dict[str, Any]) -> None:
        now, assignee = clock.unix_us(), message.conversation.assignee
        if message.csat is None:
            message.csat = CsatResponse(self._store.next_id("csat_responses"), None, None, assignee.id if assignee else None, now, now)
        message.csat.rating, message.csat.feedback_message = answer.get("rating"), answer.get("feedback_message")
        message.csat.updated_at = now
