"""The Client API: what a customer's app may ask, knowing only the inbox identifier and its own `source_id`.

Its errors are the framework's own bodies; only an invalid record is worded. Merging two contacts over a shared email or phone number
in an update is left out: the update then answers 422.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, TypeVar

from loadkit import clock
from loadkit.chat import routes
from loadkit.sandbox import views
from loadkit.sandbox.actions import Actions
from loadkit.sandbox.attachments import attachments
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, empty, failure, json_answer, refusal
from loadkit.sandbox.params import Upload
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Contact, Conversation, Inbox, Message, Session
from loadkit.sandbox.store import Store

__all__ = ["LONGEST_CONTENT", "PAGE", "TOO_LONG", "ClientApi", "echo_of", "newest"]

PAGE = 20
LONGEST_CONTENT = 150_000
LONGEST_STRING = 255
TOO_LONG = f"Content is too long (maximum is {LONGEST_CONTENT} characters)"

_Row = TypeVar("_Row")

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)*")
_PHONE = re.compile(r"\+[1-9]\d{1,14}\Z")


class ClientApi:
    """The actions of `/public/api/v1`; `host` is the server's own address in links."""

    def __init__(self, store: Store, actions: Actions, events: Events, host: str) -> None:
        self._store = store
        self._actions = actions
        self._events = events
        self._host = host

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        for route, action in (
            (routes.INBOX_SHOW, self.show_inbox),
            (routes.CONTACT_CREATE, self.create_contact),
            (routes.CONTACT_SHOW, self.show_contact),
            (routes.CONVERSATION_LIST, self.list_conversations),
            (routes.CONVERSATION_CREATE, self.create_conversation),
            (routes.CONVERSATION_SHOW, self.show_conversation),
            (routes.MESSAGE_LIST, self.list_messages),
            (routes.MESSAGE_CREATE, self.create_message),
        ):
            router.add(route.method, route.template, action)
        conversation, message = routes.CONVERSATION_SHOW.template, routes.MESSAGE_LIST.template + "/{message}"
        router.add("POST", conversation + "/toggle_status", self.toggle_status)
        router.add("POST", conversation + "/toggle_typing", self.toggle_typing)
        router.add("POST", conversation + "/update_last_seen", self.update_last_seen)
        for method in ("PATCH", "PUT"):
            router.add(method, routes.CONTACT_SHOW.template, self.update_contact)
            router.add(method, message, self.update_message)
            router.add(method, routes.INBOX_SHOW.template, missing)
            router.add(method, "/public/api/v1/csat_survey/{uuid}", missing)
        router.add("DELETE", routes.INBOX_SHOW.template, missing)
        router.add("GET", "/public/api/v1/csat_survey/{uuid}", missing)
        for method in ("GET", "POST"):
            router.add(method, "/public/api/v1/inboxes", missing)

    def _inbox(self, request: Request) -> Inbox:
        return found(self._store.inbox(request.fills["inbox"]))

    def _session(self, request: Request) -> Session:
        return found(self._store.sessions.get((self._inbox(request).id, request.fills["source_id"])))

    def _conversation(self, request: Request, *, anywhere: bool = False) -> Conversation:
        """Return the conversation of a path: the session's own, or any of the contact's for verified sessions and messages."""
        session = self._session(request)
        conversation = found(self._store.conversations.get(as_id(request.fills["conversation"])))
        wide = anywhere or session.hmac_verified
        mine = conversation.contact is session.contact if wide else conversation.session is session
        return found(conversation if mine else None)

    def _verified(self, request: Request, inbox: Inbox) -> bool:
        """Return whether the request proves its `identifier`. Raises Refused (500) for a wrong or a missing proof."""
        proof = request.text("identifier_hash") or ""
        if not proof.strip() and not inbox.hmac_mandatory:
            return False
        identifier = request.text("identifier") or ""
        right = hmac.new(inbox.hmac_token.encode(), identifier.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right.encode(), proof.encode()):
            raise Refused(failure(500))
        return True

    def show_inbox(self, request: Request) -> Answer:
        """GET the inbox."""
        return json_answer(views.public_inbox(self._inbox(request)))

    def create_contact(self, request: Request) -> Answer:
        """POST a contact: the session of a known `source_id` unchanged, else a new one of a known or a new contact."""
        inbox = self._inbox(request)
        self._verified(request, inbox)
        source_id = request.text("source_id")
        session = self._store.sessions.get((inbox.id, source_id)) if source_id else None
        if session is None:
            contact = self._known_contact(request) or self._new_contact(request)
            if source_id == "":  # the real server breaks here, after the contact was made
                raise Refused(failure(500))
            session = self._store.add_session(contact, inbox, _short("source_id", source_id))
        return json_answer(views.public_contact(session))

    def _known_contact(self, request: Request) -> Contact | None:
        email = (request.text("email") or "").lower()
        by_identifier = self._store.contact_by("identifier", request.text("identifier"))
        by_email = self._store.contact_by("email", email)
        return by_identifier or by_email or self._store.contact_by("phone_number", request.text("phone_number"))

    def _new_contact(self, request: Request) -> Contact:
        contact = self._store.add_contact(
            {
                "name": _short("name", request.text("name")),
                "identifier": _short("identifier", request.text("identifier") or None),
                "email": _email(request),
                "phone_number": _phone(request),
                "custom_attributes": request.attributes("custom_attributes"),
            }
        )
        self._events.contact("contact.created", contact)()
        return contact

    def show_contact(self, request: Request) -> Answer:
        """GET the session; a proof of identity marks it verified."""
        session = self._session(request)
        self._prove(request, session)
        return json_answer(views.public_contact(session))

    def _prove(self, request: Request, session: Session) -> None:
        if self._verified(request, session.inbox) and not session.hmac_verified:
            session.hmac_verified = True
            session.updated_at = clock.unix_us()

    def update_contact(self, request: Request) -> Answer:
        """PATCH the contact: blank values are ignored, custom attributes are merged."""
        session = self._session(request)
        self._prove(request, session)
        contact = session.contact
        changes = {
            "name": _short("name", request.text("name")),
            "email": _email(request),
            "phone_number": _phone(request),
        }
        for key in ("email", "phone_number"):
            owner = self._store.contact_by(key, changes[key])
            if owner not in (None, contact):
                raise Refused(invalid(f"{key.replace('_', ' ').capitalize()} has already been taken", key))
        self._store.unindex(contact)
        for key, value in changes.items():
            if value:
                setattr(contact, key, value)
        self._store.index(contact)
        contact.custom_attributes = _merged(contact.custom_attributes, request.attributes("custom_attributes"))
        contact.updated_at = clock.unix_us()
        self._events.contact("contact.updated", contact)()
        return json_answer(views.contact_row(contact))

    def list_conversations(self, request: Request) -> Answer:
        """GET the session's conversations; a verified session breaks the real server."""
        session = self._session(request)
        if session.hmac_verified:
            raise Refused(failure(500))
        return json_answer([views.public_conversation(each, self._host) for each in session.conversations])

    def create_conversation(self, request: Request) -> Answer:
        """POST a conversation."""
        session = self._session(request)
        attributes = request.attributes("custom_attributes")
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
        message = self._actions.customer_says(conversation, content, echo_of(request), attachments=files)
        return json_answer(views.public_message(message, self._host))

    def update_message(self, request: Request) -> Answer:
        """PATCH a message with what the customer filled in; scalars are dropped."""
        conversation = self._conversation(request, anywhere=True)
        number = as_id(request.fills["message"])
        message = found(next((each for each in conversation.messages if each.id == number), None))
        values = request.params.get("submitted_values")
        if isinstance(values, list):
            self._actions.submit(message, [value for value in values if isinstance(value, dict)])
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


def found(row: _Row | None) -> _Row:
    """Return a row. Raises Refused (404) for None."""
    if row is None:
        raise Refused(failure(404))
    return row


def invalid(message: str, attribute: str) -> Answer:
    """Return the answer for a record that is not valid."""
    return refusal(422, {"message": message, "attributes": [attribute]})


def echo_of(request: Request) -> dict[str, Any]:
    """Return the `echo_id` of a request as a mapping, empty where there is none: it comes back as it was, type included."""
    value = request.params.get("echo_id")
    return {} if value is None or isinstance(value, dict | list | Upload) else {"echo_id": value}


def newest(messages: list[Message], limit: int, *, before: int | None = None, public: bool = False) -> list[Message]:
    """Return the newest `limit` messages, below the id `before` if given, oldest first."""
    page: list[Message] = []
    for message in reversed(messages):
        if len(page) == limit:
            break
        if (before is None or message.id < before) and (message.public or not public):
            page.append(message)
    return page[::-1]


def _email(request: Request) -> str | None:
    email = (request.text("email") or "").lower() or None
    if email and not _EMAIL.fullmatch(email):
        raise Refused(invalid("Email Invalid email", "email"))
    return _short("email", email)


def _phone(request: Request) -> str | None:
    phone = request.text("phone_number") or None
    if phone and not _PHONE.search(phone):
        raise Refused(invalid("Phone number should be in e164 format", "phone_number"))
    return phone


def _short(key: str, value: str | None) -> str | None:
    if value is not None and len(value) > LONGEST_STRING:
        name = key.replace("_", " ").capitalize()
        raise Refused(invalid(f"{name} is too long (maximum is {LONGEST_STRING} characters)", key))
    return value


def _oversized(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) > 1500
    return isinstance(value, int) and not isinstance(value, bool) and value > 9_999_999_999


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    both = dict(old)
    for key, value in new.items():
        held = both.get(key)
        both[key] = _merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return both
