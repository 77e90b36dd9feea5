"""Video calls, which OneHash Chat has and Chatwoot has not: an agent rings and hangs up, and the conversation's own session is told."""

from __future__ import annotations

from loadkit.chat import routes
from loadkit.sandbox.agent_access import conversation_of, required, user_of
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import Answer, Request, empty, json_answer
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.store import Store

__all__ = ["CallApi"]

DOMAIN = "meet.example.com"


class CallApi:
    """The two actions on a call. The server keeps no calls: whatever room is named, it is told."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        router.add("POST", routes.AGENT_CALL_CREATE.template, self.create_call)
        router.add("POST", routes.AGENT_CALL_END.template, self.end_call)

    def create_call(self, request: Request) -> Answer:
        """POST a call about a message; both sides get a token of their own for the room."""
        user, conversation = self._asked(request)
        call = {"room_id": required(request, "room_id"), "domain": DOMAIN, "message_id": required(request, "message_id")}
        self._events.call("call.created", conversation, {**call, "jwt": "the customer's"}, user)
        return json_answer({**call, "jwt": "the agent's"})

    def end_call(self, request: Request) -> Answer:
        """POST the end of a call."""
        user, conversation = self._asked(request)
        self._events.call("call.ended", conversation, {"room_id": required(request, "room_id"), "domain": DOMAIN}, user)
        return empty()

    def _asked(self, request: Request) -> tuple[User, Conversation]:
        user = user_of(self._store, request)
        return user, conversation_of(self._store, request, user)
