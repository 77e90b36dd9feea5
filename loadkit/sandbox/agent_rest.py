"""The agent API: what an agent's app asks with an access token; its messages are in `agent_messages.py`."""

from __future__ import annotations

from typing import Any

from loadkit import clock
from loadkit.chat import routes
from loadkit.sandbox import agent_views
from loadkit.sandbox.actions import Actions
from loadkit.sandbox.agent_access import conversation_of, user_of, wrong
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import (
    Answer,
    Refused,
    Request,
    empty,
    json_answer,
)
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.store import Store

__all__ = ["AgentApi"]

CONVERSATION_PAGE = 25
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
        host: str,
    ) -> None:
        self._store = store
        self._presence = presence
        self._actions = actions
        self._events = events
        self._host = host

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        for route, action in (
            (routes.AGENT_PROFILE, self.show_profile),
            (routes.AGENT_INBOX_LIST, self.list_inboxes),
            (routes.AGENT_CONVERSATION_LIST, self.list_conversations),
            (routes.AGENT_CONVERSATION_SHOW, self.show_conversation),
        ):
            router.add(route.method, route.template, action)
        conversation = routes.AGENT_CONVERSATION_SHOW.template
        router.add("GET", "/api", health)
        router.add("GET", "/api/v1/accounts/{account}/agents", self.list_agents)
        router.add("POST", conversation + "/assignments", self.assign)
        router.add("POST", conversation + "/toggle_status", self.toggle_status)
        router.add("POST", conversation + "/toggle_typing_status", self.toggle_typing)
        router.add("POST", conversation + "/update_last_seen", self.update_last_seen)

    def show_profile(self, request: Request) -> Answer:
        """GET who the token belongs to."""
        return json_answer(agent_views.profile(user_of(self._store, request), self._presence.availability))

    def list_inboxes(self, request: Request) -> Answer:
        """GET the inboxes that the user sees."""
        user = user_of(self._store, request)
        admin = user.role == "administrator"
        seen = [inbox for inbox in self._store.inboxes if self._store.sees(user, inbox)]
        return json_answer({"payload": [agent_views.inbox_row(inbox, with_hmac_token=admin) for inbox in seen]})

    def list_agents(self, request: Request) -> Answer:
        """GET everybody who works in the account."""
        user_of(self._store, request)
        return json_answer([agent_views.agent_row(user, self._presence.availability) for user in self._store.users])

    def list_conversations(self, request: Request) -> Answer:
        """GET a page of 25 conversations, the latest active first, filtered by status, inbox, session and assignee."""
        user = user_of(self._store, request)
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
        return agent_views.agent_conversation(conversation, self._host, self._presence.availability, contact_online=online)

    def show_conversation(self, request: Request) -> Answer:
        """GET a conversation."""
        return json_answer(self._view(conversation_of(self._store, request, user_of(self._store, request))))

    def assign(self, request: Request) -> Answer:
        """POST the assignee of a conversation, null for nobody."""
        user = user_of(self._store, request)
        conversation = conversation_of(self._store, request, user)
        number = request.number("assignee_id")
        assignee = next((each for each in self._store.users if each.id == number), None)
        self._actions.assign(conversation, assignee, user)
        return json_answer(agent_views.agent_row(assignee, self._presence.availability) if assignee else None)

    def toggle_status(self, request: Request) -> Answer:
        """POST a status; without one an open conversation is resolved and any other opened."""
        user = user_of(self._store, request)
        conversation = conversation_of(self._store, request, user)
        status = request.text("status") or ("resolved" if conversation.status == "open" else "open")
        if status not in STATUS_TEXTS:
            raise Refused(wrong(f"'{status}' is not a valid status"))
        self._actions.set_status(conversation, status, STATUS_TEXTS[status].format(user.name))
        payload = {"success": True, "conversation_id": conversation.id, "current_status": status}
        return json_answer({"payload": {**payload, "snoozed_until": None}})

    def toggle_typing(self, request: Request) -> Answer:
        """POST typing on or off; `is_private` passes through as it is."""
        user = user_of(self._store, request)
        conversation, status = conversation_of(self._store, request, user), request.text("typing_status")
        if status in ("on", "off"):
            private = request.params.get("is_private", False)
            self._events.typing(conversation, on=status == "on", user=user, private=private)
        return empty()

    def update_last_seen(self, request: Request) -> Answer:
        """POST that an agent looked: nobody is told."""
        user = user_of(self._store, request)
        conversation = conversation_of(self._store, request, user)
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
