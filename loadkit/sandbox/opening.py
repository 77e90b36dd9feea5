"""How an agent opens a conversation: with a session that is known, or with a contact who gets one in an inbox."""

from __future__ import annotations

from typing import Any

from loadkit.sandbox.actions import LONGEST_CONTENT, TOO_LONG, Actions
from loadkit.sandbox.agent_access import known, not_allowed, wrong
from loadkit.sandbox.exchange import Refused, Request
from loadkit.sandbox.params import is_true, text
from loadkit.sandbox.rows import Conversation, Session, User
from loadkit.sandbox.store import Store

__all__ = ["opened"]

STATUSES = ("open", "resolved", "pending", "snoozed")


def opened(store: Store, actions: Actions, request: Request, user: User) -> Conversation:
    """Return the conversation that a request opens. Raises Refused (404 for who is unknown, 401 for an inbox not the user's own)."""
    session = _session(store, request, user)
    if is_true(request.params.get("hmac_verified")):
        session.hmac_verified = True
    status = request.text("status") or "open"
    if status not in STATUSES:
        raise Refused(wrong(f"'{status}' is not a valid status"))
    message = request.attributes("message")
    content = text(message, "content")
    if content is not None and len(content) > LONGEST_CONTENT:
        raise Refused(wrong(f"Validation failed: {TOO_LONG}"))
    more: dict[str, Any] = {
        "status": status,
        "assignee": store.user_by_id(request.number("assignee_id")),
        "additional_attributes": request.attributes("additional_attributes"),
    }
    conversation = actions.open(session, request.attributes("custom_attributes"), user, **more)
    if message:
        actions.agent_says(conversation, content, user, {}, private=is_true(message.get("private")), source_id=text(message, "source_id"))
    return conversation


def _session(store: Store, request: Request, user: User) -> Session:
    source_id, inbox_id = request.text("source_id"), request.number("inbox_id")
    found = [each for each in store.sessions.values() if each.source_id == source_id and inbox_id in (None, each.inbox.id)]
    if found:
        session = found[0]
    else:
        inbox, contact = known(store.inbox_by_id(inbox_id)), known(store.contacts.get(request.number("contact_id") or 0))
        if not store.sees(user, inbox):
            raise Refused(not_allowed())
        session = next((each for each in contact.sessions if each.inbox is inbox and source_id is None), None) or store.add_session(
            contact, inbox, source_id
        )
    if not store.sees(user, session.inbox):
        raise Refused(not_allowed())
    return session
