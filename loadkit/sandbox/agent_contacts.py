"""The agent API's contacts: listed, searched, made, changed, merged and deleted, with their conversations."""

from __future__ import annotations

from typing import Any

from loadkit import clock
from loadkit.sandbox import agent_views
from loadkit.sandbox.agent_access import ACCOUNT_PATH, admin_of, known, user_of, wrong
from loadkit.sandbox.agent_conversations import ConversationApi
from loadkit.sandbox.contact_rest import checked_email, checked_phone
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, empty, invalid, json_answer, refusal
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.removal import deep_merged
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Contact
from loadkit.sandbox.store import Store
from loadkit.sandbox.upkeep import Upkeep

__all__ = ["AgentContactApi"]

CONTACTS = ACCOUNT_PATH + "/contacts"
ONE = CONTACTS + "/{contact}"
PAGE = 15
SEARCHED = ("name", "email", "phone_number", "identifier")
UNIQUE = ("identifier", "email", "phone_number")


class AgentContactApi:
    """The actions on contacts; `conversations` shows those of one."""

    def __init__(self, store: Store, presence: Presence, events: Events, upkeep: Upkeep, conversations: ConversationApi) -> None:
        self._store = store
        self._presence = presence
        self._events = events
        self._upkeep = upkeep
        self._conversations = conversations

    def add_to(self, router: Router) -> None:
        """Declare the routes; `search` before what any other word would be, the id of a contact."""
        router.add("GET", CONTACTS, self.list_contacts)
        router.add("GET", CONTACTS + "/search", self.search)
        router.add("POST", CONTACTS, self.create_contact)
        router.add("GET", ONE, self.show_contact)
        router.add("DELETE", ONE, self.delete_contact)
        router.add("GET", ONE + "/conversations", self.list_conversations)
        router.add("POST", ACCOUNT_PATH + "/actions/contact_merge", self.merge)
        for method in ("PATCH", "PUT"):
            router.add(method, ONE, self.update_contact)

    def list_contacts(self, request: Request) -> Answer:
        """GET a page of 15 of those who can be told from others: by an email, a phone number or an identifier."""
        user_of(self._store, request)
        return self._page(request, [each for each in self._store.contacts.values() if any(getattr(each, key) for key in UNIQUE)])

    def search(self, request: Request) -> Answer:
        """GET a page of those of whom `q` is a part of the name, email, phone number or identifier."""
        user_of(self._store, request)
        words = (request.text("q") or "").strip().lower()
        if not words:
            raise Refused(wrong("Specify search string with parameter q"))
        return self._page(
            request,
            [each for each in self._store.contacts.values() if any(words in (getattr(each, key) or "").lower() for key in SEARCHED)],
        )

    def _page(self, request: Request, found: list[Contact]) -> Answer:
        number = max(1, request.number("page") or 1)
        found.sort(key=lambda each: (each.last_activity_at or 0, each.id), reverse=True)
        rows = [self._row(each, sessions=True) for each in found[(number - 1) * PAGE : number * PAGE]]
        return json_answer({"meta": {"count": len(found), "current_page": number}, "payload": rows})

    def _row(self, contact: Contact, *, sessions: bool) -> dict[str, Any]:
        return agent_views.agent_contact(contact, online=self._presence.is_contact_online(contact), sessions=sessions)

    def show_contact(self, request: Request) -> Answer:
        """GET one contact."""
        user_of(self._store, request)
        return json_answer({"payload": self._row(self._contact(request), sessions=True)})

    def _contact(self, request: Request) -> Contact:
        return known(self._store.contacts.get(as_id(request.fills["contact"])))

    def create_contact(self, request: Request) -> Answer:
        """POST a contact, with a session where an inbox is named."""
        user = user_of(self._store, request)
        fields = self._fields(request)
        inbox_id = request.number("inbox_id")
        inbox = known(self._store.inbox_by_id(inbox_id)) if inbox_id is not None else None
        custom = request.attributes("custom_attributes")
        contact = self._store.add_contact({"name": "", **fields, "custom_attributes": custom})
        session = self._store.add_session(contact, inbox, request.text("source_id")) if inbox else None
        self._events.contact("contact.created", contact, user)()
        made = {"contact": self._row(contact, sessions=True), "contact_inbox": agent_views.session_view(session)}
        return json_answer({"payload": made})

    def update_contact(self, request: Request) -> Answer:
        """PATCH a contact; custom attributes are merged."""
        user, contact = user_of(self._store, request), self._contact(request)
        fields = self._fields(request, contact)
        self._store.unindex(contact)
        for key, value in fields.items():
            setattr(contact, key, value)
        self._store.index(contact)
        contact.custom_attributes = deep_merged(contact.custom_attributes, request.attributes("custom_attributes"))
        contact.updated_at = clock.unix_us()
        self._events.contact("contact.updated", contact, user)()
        return json_answer({"payload": self._row(contact, sessions=True)})

    def _fields(self, request: Request, own: Contact | None = None) -> dict[str, str | None]:
        """Return the given fields. Raises Refused (422) where one is not valid, or another contact has it."""
        given = {key: request.text(key) or None for key in SEARCHED if key in request.params}
        if "name" in given:
            given["name"] = given["name"] or ""
        for key, check in (("email", checked_email), ("phone_number", checked_phone)):
            if key in given:
                given[key] = check(request)
        for key in UNIQUE:
            if (owner := self._store.contact_by(key, given.get(key))) and owner is not own:
                raise Refused(invalid(f"{key.replace('_', ' ').capitalize()} has already been taken", key))
        return given

    def delete_contact(self, request: Request) -> Answer:
        """DELETE a contact with all that belongs to it; one who is online is refused."""
        admin, contact = admin_of(self._store, request), self._contact(request)
        if self._presence.is_contact_online(contact):
            text = f"{contact.name.capitalize()} is Online, please try again later"
            raise Refused(refusal(422, {"message": text}))
        self._upkeep.delete_contact(contact, admin)
        return empty()

    def list_conversations(self, request: Request) -> Answer:
        """GET the latest conversations of a contact, of the inboxes that the user sees."""
        user, contact = user_of(self._store, request), self._contact(request)
        held = [each for session in contact.sessions if self._store.sees(user, session.inbox) for each in session.conversations]
        held.sort(key=lambda each: (each.last_activity_at, each.id), reverse=True)
        return json_answer({"payload": [self._conversations.view(each) for each in held[:20]]})

    def merge(self, request: Request) -> Answer:
        """POST that one contact (`mergee_contact_id`) shall be swallowed by another (`base_contact_id`)."""
        user = user_of(self._store, request)
        base, mergee = (known(self._store.contacts.get(request.number(key) or 0)) for key in ("base_contact_id", "mergee_contact_id"))
        if base is not mergee:
            self._upkeep.merge(base, mergee, user)
            self._events.contact("contact.updated", base, user)()
        return json_answer(self._row(base, sessions=False))
