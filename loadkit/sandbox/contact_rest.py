"""The Client API's inbox and contacts: who a session is, the proof of identity, and the merger of two contacts who turn out to be one."""

from __future__ import annotations

import hashlib
import hmac
import re

from loadkit import clock
from loadkit.chat import routes
from loadkit.sandbox import views
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import Answer, Refused, Request, failure, found, invalid, json_answer
from loadkit.sandbox.removal import deep_merged
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Contact, Inbox, Session
from loadkit.sandbox.store import Store
from loadkit.sandbox.upkeep import Upkeep

__all__ = ["ContactApi", "checked_email", "checked_phone", "inbox_of", "session_of"]

LONGEST_STRING = 255

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)*")
_PHONE = re.compile(r"\+[1-9]\d{1,14}\Z")


def inbox_of(store: Store, request: Request) -> Inbox:
    """Return the inbox of a path. Raises Refused (404)."""
    return found(store.inbox(request.fills["inbox"]))


def session_of(store: Store, request: Request) -> Session:
    """Return the session of a path. Raises Refused (404)."""
    return found(store.sessions.get((inbox_of(store, request).id, request.fills["source_id"])))


class ContactApi:
    """The actions on an inbox and its contacts."""

    def __init__(self, store: Store, events: Events, upkeep: Upkeep) -> None:
        self._store = store
        self._events = events
        self._upkeep = upkeep

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        router.add("GET", routes.INBOX_SHOW.template, self.show_inbox)
        router.add("POST", routes.CONTACT_CREATE.template, self.create_contact)
        router.add("GET", routes.CONTACT_SHOW.template, self.show_contact)
        for method in ("PATCH", "PUT"):
            router.add(method, routes.CONTACT_SHOW.template, self.update_contact)

    def show_inbox(self, request: Request) -> Answer:
        """GET the inbox."""
        return json_answer(views.public_inbox(inbox_of(self._store, request)))

    def create_contact(self, request: Request) -> Answer:
        """POST a contact: the session of a known `source_id` unchanged, else a new one of a known or a new contact."""
        inbox = inbox_of(self._store, request)
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
                "email": checked_email(request),
                "phone_number": checked_phone(request),
                "custom_attributes": request.attributes("custom_attributes"),
            }
        )
        self._events.contact("contact.created", contact)()
        return contact

    def show_contact(self, request: Request) -> Answer:
        """GET the session; a proof of identity marks it verified."""
        session = session_of(self._store, request)
        self._prove(request, session)
        return json_answer(views.public_contact(session))

    def _prove(self, request: Request, session: Session) -> None:
        if self._verified(request, session.inbox) and not session.hmac_verified:
            session.hmac_verified = True
            session.updated_at = clock.unix_us()

    def update_contact(self, request: Request) -> Answer:
        """PATCH the contact: blank values are ignored, custom attributes are merged; who already has that email or phone swallows it."""
        session = session_of(self._store, request)
        self._prove(request, session)
        changes = {
            "name": _short("name", request.text("name")),
            "email": checked_email(request),
            "phone_number": checked_phone(request),
        }
        contact = self._merged_by(session, changes)
        self._store.unindex(contact)
        for key, value in changes.items():
            if value:
                setattr(contact, key, value)
        self._store.index(contact)
        contact.custom_attributes = deep_merged(contact.custom_attributes, request.attributes("custom_attributes"))
        contact.updated_at = clock.unix_us()
        self._events.contact("contact.updated", contact)()
        return json_answer(views.contact_row(contact))

    def _merged_by(self, session: Session, changes: dict[str, str | None]) -> Contact:
        """Return the contact that the changes are for; a phone number of somebody with another email than the given one is dropped."""
        for key in ("email", "phone_number"):
            owner = self._store.contact_by(key, changes[key])
            if owner is None or owner is session.contact:
                continue
            if key == "phone_number" and changes["email"] and owner.email and owner.email != changes["email"]:
                changes["phone_number"] = None
                continue
            self._upkeep.merge(owner, session.contact)
        return session.contact

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


def checked_email(request: Request) -> str | None:
    """Return the posted email in lower case, None for none. Raises Refused (422)."""
    email = (request.text("email") or "").lower() or None
    if email and not _EMAIL.fullmatch(email):
        raise Refused(invalid("Email Invalid email", "email"))
    return _short("email", email)


def checked_phone(request: Request) -> str | None:
    """Return the posted phone number, None for none. Raises Refused (422)."""
    phone = request.text("phone_number") or None
    if phone and not _PHONE.search(phone):
        raise Refused(invalid("Phone number should be in e164 format", "phone_number"))
    return phone


def _short(key: str, value: str | None) -> str | None:
    if value is not None and len(value) > LONGEST_STRING:
        name = key.replace("_", " ").capitalize()
        raise Refused(invalid(f"{name} is too long (maximum is {LONGEST_STRING} characters)", key))
    return value
