"""The agent API's messages. A reply, a public message created here, meets its fault here.

Every attempt at a reply has a line in the truth, refused ones too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from loadkit.chat import routes
from loadkit.sandbox import agent_views
from loadkit.sandbox.actions import LONGEST_CONTENT, PAGE, TOO_LONG, Actions
from loadkit.sandbox.agent_access import conversation_of, known, user_of, wrong
from loadkit.sandbox.attachments import attachments
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, failure, json_answer, proxy_page, throttled
from loadkit.sandbox.faults import Drawn, Faults
from loadkit.sandbox.params import is_true
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import ACTIVITY, INCOMING, OUTGOING, TEMPLATE, Conversation, Message, User, newest
from loadkit.sandbox.store import Store
from loadkit.sandbox.truth import Attempt, Truth
from loadkit.sandbox.upkeep import STATUSES, Upkeep

__all__ = ["AgentMessages"]

MESSAGE_TYPES = {"incoming": INCOMING, "outgoing": OUTGOING, "activity": ACTIVITY, "template": TEMPLATE}
WITH_ITEMS = ("input_select", "cards", "form", "article")
CONTENT_TYPES = (
    *("text", "input_text", "input_textarea", "input_email", "input_select", "cards", "form", "article"),
    *("incoming_email", "input_csat", "integrations", "sticker", "cal_event", "cal_event_confirmation"),
    *("calling_event", "shopify_order_event", "shopify_product_refer", "shopify_discount_refer"),
)


class AgentMessages:
    """The actions on messages; `host` is the server's own address in links."""

    def __init__(
        self,
        store: Store,
        presence: Presence,
        actions: Actions,
        upkeep: Upkeep,
        faults: Faults,
        truth: Truth,
        dialect: Dialect,
        host: str,
    ) -> None:
        self._store = store
        self._presence = presence
        self._actions = actions
        self._upkeep = upkeep
        self._dialect = dialect
        self._faults = faults
        self._truth = truth
        self._host = host

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        router.add("GET", routes.AGENT_MESSAGE_LIST.template, self.list_messages)
        router.add("POST", routes.AGENT_MESSAGE_CREATE.template, self.create_message, witness=self.attempted)
        one = routes.AGENT_MESSAGE_LIST.template + "/{message}"
        router.add("DELETE", one, self.delete_message)
        if self._dialect.sets_status:
            for method in ("PATCH", "PUT"):
                router.add(method, one, self.update_message)

    def list_messages(self, request: Request) -> Answer:
        """GET messages: the newest 20, those `before` an id, the oldest 100 `after` one, or up to 1000 between two."""
        conversation = conversation_of(self._store, request, user_of(self._store, request))
        messages = conversation.messages
        if (request.text("filter_internal_messages") or "").strip():
            messages = [message for message in messages if message.public]
        page = _page(messages, request.number("before"), request.number("after"))
        return json_answer(agent_views.message_page(conversation, page, self._host, self._presence.availability))

    def attempted(self, request: Request) -> Attempt | None:
        """Begin the line of a reply; None for what is no reply: a private note, the customer's own words."""
        if (request.text("message_type") or "outgoing") != "outgoing" or is_true(request.params.get("private")):
            return None
        attempt = self._truth.attempt(request.received_us, request.request_id, request.params.get("echo_id"))
        request.after.append(attempt.answered)
        return attempt

    def create_message(self, request: Request) -> Answer:
        """POST a message; where it is a reply, its line in the truth ends with the answer."""
        attempt, user = request.attempt, user_of(self._store, request)
        if attempt:
            attempt.line["agent"] = user.id
        conversation = conversation_of(self._store, request, user)
        if attempt:
            attempt.line |= {
                "conversation_id": conversation.id,
                "subscription": conversation.session.source_id,
            }
        fields = self._fields(request, conversation)
        echo = request.echo()
        if fields["message_type"] == INCOMING:
            del fields["message_type"]
            message = self._actions.customer_says(conversation, echo=echo, performer=user, **fields)
        else:
            drawn = self._faults.draw() if attempt else None
            if drawn and attempt and drawn.name in ("429", "5xx"):
                attempt.fault = drawn.name
                return refused_by(drawn)
            message = self._actions.agent_says(conversation, user=user, echo=echo, attempt=attempt, drawn=drawn, **fields)
        return json_answer(agent_views.agent_message(message, self._host, self._presence.availability, echo))

    def update_message(self, request: Request) -> Answer:
        """PATCH the delivery status of a message."""
        user, message = self._message(request)
        status = request.text("status")
        if status not in STATUSES:
            raise Refused(wrong(f"'{status}' is not a valid status"))
        self._upkeep.set_delivery(message, status, request.text("external_error"), user)
        return self._shown(message)

    def delete_message(self, request: Request) -> Answer:
        """DELETE what a message says; its row stays."""
        user, message = self._message(request)
        self._upkeep.delete_message(message, user)
        return self._shown(message)

    def _message(self, request: Request) -> tuple[User, Message]:
        user = user_of(self._store, request)
        conversation = conversation_of(self._store, request, user)
        number = as_id(request.fills["message"])
        return user, known(next((each for each in conversation.messages if each.id == number), None))

    def _shown(self, message: Message) -> Answer:
        return json_answer(agent_views.agent_message(message, self._host, self._presence.availability))

    def _fields(self, request: Request, conversation: Conversation) -> dict[str, Any]:
        """Return the checked fields of a message to be. Raises Refused."""
        kind, content_type = request.text("message_type") or "outgoing", request.text("content_type") or "text"
        if kind not in MESSAGE_TYPES:
            raise Refused(wrong(f"'{kind}' is not a valid message_type"))
        if content_type not in CONTENT_TYPES:
            raise Refused(wrong(f"'{content_type}' is not a valid content_type"))
        content, attributes = request.text("content"), _attributes(request, as_text=self._dialect.takes_source_ids)
        if content is not None and len(content) > LONGEST_CONTENT:
            raise Refused(wrong(f"Validation failed: {TOO_LONG}"))
        if content_type in WITH_ITEMS and not attributes.get("items"):
            raise Refused(wrong("Validation failed: Content attributes At least one item is required."))
        if self._store.flooded(conversation):
            raise Refused(wrong("Validation failed: Too many messages"))
        return {
            "content": content,
            "message_type": MESSAGE_TYPES[kind],
            "private": is_true(request.params.get("private")),
            "content_type": content_type,
            "content_attributes": attributes,
            "source_id": request.text("source_id") if self._dialect.takes_source_ids else None,
            "attachments": attachments(self._store, request.params.get("attachments")),
        }


def refused_by(drawn: Drawn) -> Answer:
    """Return the answer of a fault that refuses a reply."""
    if drawn.name == "429":
        return throttled()
    return failure(500) if drawn.code == 500 else proxy_page(drawn.code)


def _attributes(request: Request, *, as_text: bool) -> dict[str, Any]:
    value = request.params.get("content_attributes")
    if as_text and isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, ValueError):
            return {}
    return value if isinstance(value, dict) else {}


def _page(messages: list[Message], before: int | None, after: int | None) -> list[Message]:
    if after is None:
        return newest(messages, PAGE, before=before)
    if before is None:
        return [message for message in messages if message.id > after][:100]
    return [message for message in messages if after <= message.id < before][:1000]
