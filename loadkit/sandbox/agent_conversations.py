"""The agent API's conversations: listed, counted, opened, assigned, ended and labelled; their messages are in `agent_messages.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadkit import clock
from loadkit.chat import routes
from loadkit.sandbox import agent_views
from loadkit.sandbox.actions import Actions
from loadkit.sandbox.agent_access import conversation_of, user_of, wrong
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import Answer, Refused, Request, empty, json_answer
from loadkit.sandbox.listing import Listing
from loadkit.sandbox.opening import opened
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.store import Store
from loadkit.sandbox.upkeep import Upkeep

__all__ = ["ConversationApi"]

LIST = routes.AGENT_CONVERSATION_LIST.template
ONE = routes.AGENT_CONVERSATION_SHOW.template
PRIORITIES = ("low", "medium", "high", "urgent")
STATUS_TEXTS = {
    "resolved": "Conversation was marked resolved by {}",
    "open": "Conversation was reopened by {}",
    "pending": "Conversation was marked as pending by {}",
    "snoozed": "Conversation was snoozed by {}",
}


class ConversationApi:
    """The actions on conversations; `host` is the server's own address in links."""

    def __init__(self, store: Store, presence: Presence, actions: Actions, upkeep: Upkeep, events: Events, host: str) -> None:
        self._store = store
        self._presence = presence
        self._actions = actions
        self._upkeep = upkeep
        self._events = events
        self._host = host

    def add_to(self, router: Router) -> None:
        """Declare the routes; `meta` before what any other word would be, the id of a conversation."""
        router.add("GET", LIST + "/meta", self.count)
        router.add("GET", LIST, self.list_conversations)
        router.add("POST", LIST, self.create_conversation)
        router.add("GET", ONE, self.show_conversation)
        router.add("GET", ONE + "/labels", self.list_labels)
        for word, action in (
            ("assignments", self.assign),
            ("labels", self.set_labels),
            ("mute", self.mute),
            ("toggle_priority", self.set_priority),
            ("toggle_status", self.toggle_status),
            ("toggle_typing_status", self.toggle_typing),
            ("unmute", self.unmute),
            ("update_last_seen", self.update_last_seen),
        ):
            router.add("POST", f"{ONE}/{word}", self._on_one(action))

    def _on_one(self, action: Callable[[Request, User, Conversation], Answer]) -> Callable[[Request], Answer]:
        """Return an action on one conversation as an action on a request."""

        def act(request: Request) -> Answer:
            user = user_of(self._store, request)
            return action(request, user, conversation_of(self._store, request, user))

        return act

    def view(self, conversation: Conversation) -> dict[str, Any]:
        """Return a conversation as the agent API shows it."""
        online = self._presence.is_contact_online(conversation.contact)
        return agent_views.agent_conversation(conversation, self._host, self._presence.availability, contact_online=online)

    def count(self, request: Request) -> Answer:
        """GET how many conversations a list would have, by assignee."""
        return json_answer({"meta": Listing(self._store, request, user_of(self._store, request)).counts()})

    def list_conversations(self, request: Request) -> Answer:
        """GET a page of 25 conversations, the latest active first."""
        listing = Listing(self._store, request, user_of(self._store, request))
        return json_answer({"data": {"meta": listing.counts(), "payload": [self.view(each) for each in listing.page()]}})

    def create_conversation(self, request: Request) -> Answer:
        """POST a conversation with a contact, and its first message if one is given."""
        return json_answer(self.view(opened(self._store, self._actions, request, user_of(self._store, request))))

    def show_conversation(self, request: Request) -> Answer:
        """GET a conversation."""
        return json_answer(self.view(conversation_of(self._store, request, user_of(self._store, request))))

    def assign(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST the assignee of a conversation, null for nobody; where none is named, a team perhaps, nothing happens."""
        if "assignee_id" not in request.params:
            return json_answer(None)
        assignee = self._store.user_by_id(request.number("assignee_id"))
        self._actions.assign(conversation, assignee, user)
        return json_answer(agent_views.agent_row(assignee, self._presence.availability) if assignee else None)

    def toggle_status(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST a status; without one an open conversation is resolved and any other opened. An agent who opens one takes it."""
        status = request.text("status") or ("resolved" if conversation.status == "open" else "open")
        if status not in STATUS_TEXTS:
            raise Refused(wrong(f"'{status}' is not a valid status"))
        until = (request.number("snoozed_until") or 0) * 1_000_000 or None
        until = until if status == "snoozed" else None
        self._actions.set_status(conversation, status, STATUS_TEXTS[status].format(user.name), user, snoozed_until=until)
        if status == "open" and user.role == "agent":
            self._actions.assign(conversation, user, user)
        payload = {"success": True, "conversation_id": conversation.id, "current_status": status}
        return json_answer({"payload": {**payload, "snoozed_until": request.number("snoozed_until") if until else None}})

    def toggle_typing(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST typing on or off; `is_private` passes through as it is."""
        status = request.text("typing_status")
        if status in ("on", "off"):
            private = request.params.get("is_private", False)
            self._events.typing(conversation, on=status == "on", user=user, private=private)
        return empty()

    def update_last_seen(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST that an agent looked: nobody is told."""
        conversation.agent_last_seen_at = clock.unix_us()
        conversation.unread = 0
        if conversation.assignee is user:
            conversation.assignee_last_seen_at = conversation.agent_last_seen_at
        return json_answer(self.view(conversation))

    def list_labels(self, request: Request) -> Answer:
        """GET the labels of a conversation."""
        return json_answer({"payload": conversation_of(self._store, request, user_of(self._store, request)).labels})

    def set_labels(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST the labels that a conversation shall have."""
        labels = request.params.get("labels")
        self._upkeep.label(conversation, [str(each) for each in labels] if isinstance(labels, list) else [], user)
        return json_answer({"payload": conversation.labels})

    def set_priority(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST a priority, null for none."""
        priority = request.text("priority") or None
        if priority is not None and priority not in PRIORITIES:
            raise Refused(wrong(f"'{priority}' is not a valid priority"))
        self._upkeep.prioritise(conversation, priority, user)
        return empty()

    def mute(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST the end of a conversation and the blocking of its contact."""
        self._upkeep.mute(conversation, user, muted=True)
        return empty()

    def unmute(self, request: Request, user: User, conversation: Conversation) -> Answer:
        """POST the lifting of that block."""
        self._upkeep.mute(conversation, user, muted=False)
        return empty()
