"""The Client API's conversations and messages: what a customer's app may ask, knowing only the inbox identifier and its `source_id`.

Its errors are the framework's own bodies; only an invalid record is worded.
"""

from __future__ import annotations

from typing import Any

from loadkit.chat import routes
from loadkit.sandbox import views
from loadkit.sandbox.actions import LONGEST_CONTENT, PAGE, TOO_LONG, Actions
from loadkit.sandbox.attachments import attachments
from loadkit.sandbox.contact_rest import session_of
from loadkit.sandbox.csat_rest import answer_of, too_late, too_old
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, empty, failure, found, invalid, json_answer
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Conversation, newest
from loadkit.sandbox.store import Store

__all__ = ["ClientApi"]


class ClientApi:
    """The actions of `/public/api/v1`; `host` is the server's own address in links."""

    def __init__(self, store: Store, actions: Actions, events: Events, dialect: Dialect, host: str) -> None:
        self._store = store
        self._actions = actions
        self._events = events
        self._dialect = dialect
        self._host = host

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        for route, action in (
            (routes.CONVERSATION_LIST, self.list_conversations),
            (routes.CONVERSATION_CREATE, self.create_conversation),
            (routes.MESSAGE_LIST, self.list_messages),
            (routes.MESSAGE_CREATE, self.create_message),
        ):
            router.add(route.method, route.template, action)
        if self._dialect.shows_conversations:
            router.add("GET", routes.CONVERSATION_SHOW.template, self.show_conversation)
            router.add("POST", routes.CONVERSATION_RESOLVE.template, self.toggle_status)
        router.add("POST", routes.CONVERSATION_TYPING.template, self.toggle_typing)
        router.add("POST", routes.CONVERSATION_SEEN.template, self.update_last_seen)
        for method in ("PATCH", "PUT"):
            router.add(method, routes.MESSAGE_UPDATE.template, self.update_message)
            router.add(method, routes.INBOX_SHOW.template, missing)
        router.add("DELETE", routes.INBOX_SHOW.template, missing)
        for method in ("GET", "POST"):
            router.add(method, "/public/api/v1/inboxes", missing)

    def _conversation(self, request: Request, *, anywhere: bool = False) -> Conversation:
        """Return the conversation of a path: the session's own, or any of the contact's for verified sessions and messages."""
        session = session_of(self._store, request)
        conversation = found(self._store.conversations.get(as_id(request.fills["conversation"])))
        wide = anywhere or session.hmac_verified
        mine = conversation.contact is session.contact if wide else conversation.session is session
        return found(conversation if mine else None)

    def list_conversations(self, request: Request) -> Answer:
        """GET the session's conversations; a verified session breaks the real server."""
        session = session_of(self._store, request)
        if session.hmac_verified:
            raise Refused(failure(500))
        return json_answer([views.public_conversation(each, self._host) for each in session.conversations])

    def create_conversation(self, request: Request) -> Answer:
        """POST a conversation."""
        session = session_of(self._store, request)
        attributes = request.attributes("custom_attributes") if self._dialect.shows_conversations else {}
        if any(_oversized(value) for value in attributes.values()):
            raise Refused(invalid("Custom attributes a length should be < 1500", "custom_attributes"))
        return self._shown(self._actions.open(session, attributes))

    def _shown(self, conversation: Conversation) -> Answer:
        return json_answer(views.public_conversation(conversation, self._host))

    def show_conversation(self, request: Request) -> Answer:
        """GET a conversation."""
        return self._shown(self._conversation(request))

    def list_messages(self, request: Request) -> Answer:
        """GET the newest 20 messages that a customer may see, or the newest 20 before one; oldest first."""
        conversation = self._conversation(request, anywhere=True)
        before = request.number("before") if request.params.get("before") else None
        page = newest(conversation.messages, PAGE, before=before, public=True)
        return json_answer([views.public_message(message, self._host) for message in page])

    def create_message(self, request: Request) -> Answer:
        """POST a customer's message."""
        conversation = self._conversation(request, anywhere=True)
        content = request.text("content")
        if content is not None and len(content) > LONGEST_CONTENT:
            raise Refused(invalid(TOO_LONG, "content"))
        if self._store.flooded(conversation):
            raise Refused(invalid("Too many messages", "base"))
        files = attachments(self._store, request.params.get("attachments"))
        message = self._actions.customer_says(conversation, content, request.echo(), attachments=files)
        return json_answer(views.public_message(message, self._host))

    def update_message(self, request: Request) -> Answer:
        """PATCH a message with what the customer filled in: a list of fields, or a survey's answer; scalars are dropped."""
        conversation = self._conversation(request, anywhere=True)
        number = as_id(request.fills["message"])
        message = found(next((each for each in conversation.messages if each.id == number), None))
        values = request.params.get("submitted_values")
        if too_old(message):
            raise Refused(too_late())
        if isinstance(values, list | dict) and self._store.flooded(conversation):
            raise Refused(failure(500))  # an update is checked like a new message, and what it then says is lost on the way
        if isinstance(values, list):
            self._actions.submit(message, [_field(value) for value in values if isinstance(value, dict)])
        elif (answer := answer_of(values)) is not None:
            self._actions.submit(message, {"csat_survey_response": answer})
        return json_answer(views.public_message(message, self._host))

    def toggle_status(self, request: Request) -> Answer:
        """POST the end of a conversation; it cannot reopen one."""
        conversation = self._conversation(request)
        by = conversation.contact.name.capitalize()
        self._actions.set_status(conversation, "resolved", f"Conversation was resolved by {by}")
        return self._shown(conversation)

    def toggle_typing(self, request: Request) -> Answer:
        """POST typing on or off; anything else does nothing."""
        conversation, status = self._conversation(request), request.text("typing_status")
        if status in ("on", "off"):
            self._events.typing(conversation, on=status == "on", user=None)
        return empty()

    def update_last_seen(self, request: Request) -> Answer:
        """POST that the customer looked."""
        self._actions.seen_by_customer(self._conversation(request))
        return empty()


def missing(request: Request) -> Answer:
    """Answer a declared route that has nothing behind it."""
    return failure(404)


def _field(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in ("name", "title", "value") if key in value}


def _oversized(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) > 1500
    return isinstance(value, int) and not isinstance(value, bool) and value > 9_999_999_999
