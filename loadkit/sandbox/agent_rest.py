"""The agent API: what an agent's app asks with an access token. A reply, a public message created here, meets its fault here.

Every attempt at a reply has a line in the truth, refused ones too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from loadkit import clock
from loadkit.chat import routes
from loadkit.sandbox import views
from loadkit.sandbox.actions import Actions
from loadkit.sandbox.attachments import attachments
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import (
    Answer,
    Refused,
    Request,
    as_id,
    empty,
    failure,
    json_answer,
    proxy_page,
    refusal,
    throttled,
)
from loadkit.sandbox.faults import Drawn, Faults
from loadkit.sandbox.params import is_true
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.rest import LONGEST_CONTENT, PAGE, TOO_LONG, echo_of, newest
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Conversation, Message, User
from loadkit.sandbox.store import ACCOUNT, Store
from loadkit.sandbox.truth import Attempt, Truth

__all__ = ["AgentApi"]

CONVERSATION_PAGE = 25
MESSAGE_TYPES = {"incoming": 0, "outgoing": 1, "activity": 2, "template": 3}
WITH_ITEMS = ("input_select", "cards", "form", "article")
CONTENT_TYPES = (
    *("text", "input_text", "input_textarea", "input_email", "input_select", "cards", "form", "article"),
    *("incoming_email", "input_csat", "integrations", "sticker", "cal_event", "cal_event_confirmation"),
    *("calling_event", "shopify_order_event", "shopify_product_refer", "shopify_discount_refer"),
)
STATUS_TEXTS = {
    "resolved": "Conversation was marked resolved by {}",
    "open": "Conversation was reopened by {}",
    "pending": "Conversation was marked as pending by {}",
    "snoozed": "Conversation was snoozed by {}",
}


class AgentApi:
    """The actions of `/api/v1` and `GET /api`; `host` is the server's own address in links."""

    def __init__(
        self,
        store: Store,
        presence: Presence,
        actions: Actions,
        events: Events,
        faults: Faults,
        truth: Truth,
        host: str,
    ) -> None:
        self._store = store
        self._presence = presence
        self._actions = actions
        self._events = events
        self._faults = faults
        self._truth = truth
        self._host = host

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        for route, action in (
            (routes.AGENT_PROFILE, self.show_profile),
            (routes.AGENT_INBOX_LIST, self.list_inboxes),
            (routes.AGENT_CONVERSATION_LIST, self.list_conversations),
            (routes.AGENT_CONVERSATION_SHOW, self.show_conversation),
            (routes.AGENT_MESSAGE_LIST, self.list_messages),
            (routes.AGENT_MESSAGE_CREATE, self.create_message),
        ):
            router.add(route.method, route.template, action)
        conversation = routes.AGENT_CONVERSATION_SHOW.template
        router.add("GET", "/api", health)
        router.add("GET", "/api/v1/accounts/{account}/agents", self.list_agents)
        router.add("POST", conversation + "/assignments", self.assign)
        router.add("POST", conversation + "/toggle_status", self.toggle_status)
        router.add("POST", conversation + "/toggle_typing_status", self.toggle_typing)
        router.add("POST", conversation + "/update_last_seen", self.update_last_seen)

    def _user(self, request: Request) -> User:
        if request.token is None:
            raise Refused(refusal(401, {"errors": ["You need to sign in or sign up before continuing."]}))
        if (user := self._store.user(request.token)) is None:
            raise Refused(refusal(401, {"error": "Invalid Access Token"}))
        if "account" in request.fills and request.fills["account"] != str(ACCOUNT):
            raise Refused(not_found())
        return user

    def _conversation(self, request: Request, user: User) -> Conversation:
        conversation = self._store.conversations.get(as_id(request.fills["conversation"]))
        if conversation is None:
            raise Refused(not_found())
        if not self._store.sees(user, conversation.inbox):
            raise Refused(refusal(401, {"error": "You are not authorized to do this action"}))
        return conversation

    def show_profile(self, request: Request) -> Answer:
        """GET who the token belongs to."""
        return json_answer(views.profile(self._user(request), self._presence.availability))

    def list_inboxes(self, request: Request) -> Answer:
        """GET the inboxes that the user sees."""
        user = self._user(request)
        admin = user.role == "administrator"
        seen = [inbox for inbox in self._store.inboxes if self._store.sees(user, inbox)]
        return json_answer({"payload": [views.inbox_row(inbox, with_hmac_token=admin) for inbox in seen]})

    def list_agents(self, request: Request) -> Answer:
        """GET everybody who works in the account."""
        self._user(request)
        return json_answer([views.agent_row(user, self._presence.availability) for user in self._store.users])

    def list_conversations(self, request: Request) -> Answer:
        """GET a page of 25 conversations, the latest active first, filtered by status, inbox, session and assignee."""
        user = self._user(request)
        held = [each for each in self._store.conversations.values() if self._listed(request, user, each)]
        mine = [each for each in held if each.assignee is user]
        assigned = [each for each in held if each.assignee]
        unassigned = [each for each in held if each.assignee is None]
        groups = {"me": mine, "assigned": assigned, "unassigned": unassigned}
        chosen = groups.get(request.text("assignee_type") or "", held)
        chosen.sort(key=lambda each: (each.last_activity_at, each.id), reverse=True)
        first = (max(1, request.number("page") or 1) - 1) * CONVERSATION_PAGE
        meta = {
            "mine_count": len(mine),
            "assigned_count": len(assigned),
            "unassigned_count": len(unassigned),
            "all_count": len(held),
        }
        payload = [self._view(each) for each in chosen[first : first + CONVERSATION_PAGE]]
        return json_answer({"data": {"meta": meta, "payload": payload}})

    def _listed(self, request: Request, user: User, conversation: Conversation) -> bool:
        status, inbox = request.text("status") or "open", request.number("inbox_id")
        source_id = request.text("source_id")
        return (
            (status == "all" or conversation.status == status)
            and (inbox is None or conversation.inbox.id == inbox)
            and (source_id is None or conversation.session.source_id == source_id)
            and self._store.sees(user, conversation.inbox)
        )

    def _view(self, conversation: Conversation) -> dict[str, Any]:
        online = self._presence.is_contact_online(conversation.contact)
        return views.agent_conversation(conversation, self._host, self._presence.availability, contact_online=online)

    def show_conversation(self, request: Request) -> Answer:
        """GET a conversation."""
        return json_answer(self._view(self._conversation(request, self._user(request))))

    def list_messages(self, request: Request) -> Answer:
        """GET messages: the newest 20, those `before` an id, the oldest 100 `after` one, or up to 1000 between two."""
        conversation = self._conversation(request, self._user(request))
        messages = conversation.messages
        if (request.text("filter_internal_messages") or "").strip():
            messages = [message for message in messages if message.public]
        page = _page(messages, request.number("before"), request.number("after"))
        return json_answer(views.message_page(conversation, page, self._host, self._presence.availability))

    def create_message(self, request: Request) -> Answer:
        """POST a message; where it is a reply, its line in the truth ends with the answer."""
        reply = (request.text("message_type") or "outgoing") == "outgoing" and not is_true(request.params.get("private"))
        if not reply:
            return self._create(request, None)
        attempt = self._truth.attempt(request.received_us, request.request_id, request.params.get("echo_id"))
        request.after.append(attempt.answered)
        return self._create(request, attempt)

    def _create(self, request: Request, attempt: Attempt | None) -> Answer:
        user = self._user(request)
        if attempt:
            attempt.line["agent"] = user.id
        conversation = self._conversation(request, user)
        if attempt:
            attempt.line |= {
                "conversation_id": conversation.id,
                "subscription": conversation.session.source_id,
            }
        fields = self._fields(request, conversation)
        echo = echo_of(request)
        if fields["message_type"] == 0:
            del fields["message_type"]
            message = self._actions.customer_says(conversation, echo=echo, performer=user, **fields)
        else:
            drawn = self._faults.draw() if attempt else None
            if drawn and attempt and drawn.name in ("429", "5xx"):
                attempt.fault = drawn.name
                return refused_by(drawn)
            message = self._actions.agent_says(conversation, user=user, echo=echo, attempt=attempt, drawn=drawn, **fields)
        return json_answer(views.agent_message(message, self._host, self._presence.availability, echo))

    def _fields(self, request: Request, conversation: Conversation) -> dict[str, Any]:
        """Return the checked fields of a message to be. Raises Refused."""
        kind, content_type = request.text("message_type") or "outgoing", request.text("content_type") or "text"
        if kind not in MESSAGE_TYPES:
            raise Refused(wrong(f"'{kind}' is not a valid message_type"))
        if content_type not in CONTENT_TYPES:
            raise Refused(wrong(f"'{content_type}' is not a valid content_type"))
        content, attributes = request.text("content"), _attributes(request)
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
            "source_id": request.text("source_id"),
            "attachments": attachments(self._store, request.params.get("attachments")),
        }

    def assign(self, request: Request) -> Answer:
        """POST the assignee of a conversation, null for nobody."""
        user = self._user(request)
        conversation = self._conversation(request, user)
        number = request.number("assignee_id")
        assignee = next((each for each in self._store.users if each.id == number), None)
        self._actions.assign(conversation, assignee, user)
        return json_answer(views.agent_row(assignee, self._presence.availability) if assignee else None)

    def toggle_status(self, request: Request) -> Answer:
        """POST a status; without one an open conversation is resolved and any other opened."""
        user = self._user(request)
        conversation = self._conversation(request, user)
        status = request.text("status") or ("resolved" if conversation.status == "open" else "open")
        if status not in STATUS_TEXTS:
            raise Refused(wrong(f"'{status}' is not a valid status"))
        self._actions.set_status(conversation, status, STATUS_TEXTS[status].format(user.name))
        payload = {"success": True, "conversation_id": conversation.id, "current_status": status}
        return json_answer({"payload": {**payload, "snoozed_until": None}})

    def toggle_typing(self, request: Request) -> Answer:
        """POST typing on or off; `is_private` passes through as it is."""
        user = self._user(request)
        conversation, status = self._conversation(request, user), request.text("typing_status")
        if status in ("on", "off"):
            private = request.params.get("is_private", False)
            self._events.typing(conversation, on=status == "on", user=user, private=private)
        return empty()

    def update_last_seen(self, request: Request) -> Answer:
        """POST that an agent looked: nobody is told."""
        user = self._user(request)
        conversation = self._conversation(request, user)
        conversation.agent_last_seen_at = clock.unix_us()
        conversation.unread = 0
        if conversation.assignee is user:
            conversation.assignee_last_seen_at = conversation.agent_last_seen_at
        return json_answer(self._view(conversation))


def health(request: Request) -> Answer:
    """GET what the server says about itself."""
    return json_answer(
        {
            "version": "4.2.0",
            "timestamp": f"{clock.utc():%Y-%m-%d %H:%M:%S}",
            "queue_services": "ok",
            "data_services": "ok",
        }
    )


def not_found() -> Answer:
    """Return the agent API's own 404."""
    return refusal(404, {"error": "Resource could not be found"})


def wrong(text: str) -> Answer:
    """Return the answer for a message that cannot be saved."""
    return refusal(422, {"error": text})


def refused_by(drawn: Drawn) -> Answer:
    """Return the answer of a fault that refuses a reply."""
    if drawn.name == "429":
        return throttled()
    return failure(500) if drawn.code == 500 else proxy_page(drawn.code)


def _attributes(request: Request) -> dict[str, Any]:
    value = request.params.get("content_attributes")
    if isinstance(value, str):
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
