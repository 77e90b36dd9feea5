"""Rows that go: a contact, an inbox, and the contact that another one swallows."""

from __future__ import annotations

from loadkit import clock
from loadkit.sandbox.rows import Contact, Conversation, Inbox
from loadkit.sandbox.store import Store

__all__ = ["deep_merged", "merge_contacts", "remove_contact", "remove_inbox"]


def remove_contact(store: Store, contact: Contact) -> None:
    """Remove a contact with its sessions, their conversations and messages."""
    for session in list(contact.sessions):
        store.drop_session(session)
    store.unindex(contact)
    del store.contacts[contact.id]


def remove_inbox(store: Store, inbox: Inbox) -> None:
    """Remove an inbox with its sessions; the contacts stay."""
    for session in [each for each in store.sessions.values() if each.inbox is inbox]:
        store.drop_session(session)
    store.inboxes.remove(inbox)


def merge_contacts(store: Store, base: Contact, mergee: Contact) -> list[Conversation]:
    """Let `base` swallow `mergee` and return the conversations that changed hands.

    Sessions with their tokens, conversations and messages are re-pointed. What `base` lacks it takes over, what it has it keeps.
    """
    moved = [conversation for session in mergee.sessions for conversation in session.conversations]
    for session in mergee.sessions:
        session.contact = base
    base.sessions += mergee.sessions
    mergee.sessions = []
    for conversation in moved:
        conversation.updated_at = clock.unix_us()
        for message in conversation.messages:
            if message.sender is mergee:
                message.sender = base
    remove_contact(store, mergee)
    store.unindex(base)
    for key in ("identifier", "name", "email", "phone_number"):
        setattr(base, key, getattr(base, key) or getattr(mergee, key))
    base.custom_attributes = deep_merged(mergee.custom_attributes, base.custom_attributes)
    base.additional_attributes = deep_merged(mergee.additional_attributes, base.additional_attributes)
    base.updated_at = clock.unix_us()
    store.index(base)
    return moved


def deep_merged(old: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    """Return two trees as one; where both say something, `new` is right."""
    both = dict(old)
    for key, value in new.items():
        held = both.get(key)
        both[key] = deep_merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return both
