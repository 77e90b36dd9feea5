"""What agents do to conversations, messages and contacts besides speaking: labels, priority, mute, delivery status, deletion, merging."""

from __future__ import annotations

from typing import Any

from loadkit import clock
from loadkit.sandbox.actions import Actions
from loadkit.sandbox.events import Events
from loadkit.sandbox.removal import merge_contacts, remove_contact
from loadkit.sandbox.rows import Contact, Conversation, Message, User
from loadkit.sandbox.store import Store

__all__ = ["STATUSES", "Upkeep"]

DELETED = "This message was deleted"
STATUSES = ("sent", "delivered", "read", "failed")


class Upkeep:
    """The verbs of housekeeping; each tells whom it concerns."""

    def __init__(self, store: Store, actions: Actions, events: Events) -> None:
        self._store = store
        self._actions = actions
        self._events = events

    def label(self, conversation: Conversation, labels: list[str], by: User) -> None:
        """Replace the labels of a conversation."""
        wanted = list(dict.fromkeys(labels))
        added = [each for each in wanted if each not in conversation.labels]
        removed = [each for each in conversation.labels if each not in wanted]
        if not added and not removed:
            return
        conversation.labels = wanted
        self._changed(conversation, by)
        for verb, names in (("added", added), ("removed", removed)):
            if names:
                self._actions.activity(conversation, f"{by.name} {verb} {', '.join(names)}")()

    def prioritise(self, conversation: Conversation, priority: str | None, by: User) -> None:
        """Set or remove (None) a conversation's priority."""
        old = conversation.priority
        if old == priority:
            return
        conversation.priority = priority
        self._changed(conversation, by)
        if priority is None:
            text = f"{by.name} removed the priority"
        elif old is None:
            text = f"{by.name} set the priority to {priority}"
        else:
            text = f"{by.name} changed the priority from {old} to {priority}"
        self._actions.activity(conversation, text)()

    def _changed(self, conversation: Conversation, by: User) -> None:
        conversation.updated_at = clock.unix_us()
        self._events.conversation("conversation.updated", conversation, by)()

    def mute(self, conversation: Conversation, by: User, *, muted: bool) -> None:
        """Resolve a conversation and block its contact, or lift the block."""
        if muted:
            self._actions.set_status(conversation, "resolved", f"Conversation was marked resolved by {by.name}", by)
        contact = conversation.contact
        if contact.blocked != muted:
            contact.blocked, contact.updated_at = muted, clock.unix_us()
            self._events.contact("contact.updated", contact, by)()
        self._actions.activity(conversation, f"{by.name} has {'muted' if muted else 'unmuted'} the conversation")()

    def delete_message(self, message: Message, by: User) -> None:
        """Empty a message; its row stays."""
        old, before = {"content": message.content, "content_attributes": message.content_attributes}, message.updated_at
        message.content, message.content_type, message.content_attributes = DELETED, "text", {"deleted": True}
        message.attachments = []
        message.updated_at = clock.unix_us()
        changes = {key: [value, getattr(message, key)] for key, value in old.items()}
        self._events.message_updated(message, changes, before, by)()

    def set_delivery(self, message: Message, status: str, error: str | None, by: User) -> None:
        """Set a message's delivery status, with an error where it failed; a message once read is never delivered again."""
        if status == message.status or (message.status == "read" and status == "delivered"):
            return
        before, old = message.updated_at, message.status
        message.status, message.updated_at = status, clock.unix_us()
        changes: dict[str, Any] = {"status": [old, status]}
        if status == "failed" and error:
            attributes = message.content_attributes | {"external_error": error}
            changes["content_attributes"] = [message.content_attributes, attributes]
            message.content_attributes = attributes
        self._events.message_updated(message, changes, before, by)()

    def merge(self, base: Contact, mergee: Contact, by: User | None = None) -> None:
        """Let one contact swallow another: conversations that changed hands are told, then the end of the one and the merger.

        That the survivor was updated is left for the caller to tell, who may change it further.
        """
        moved = merge_contacts(self._store, base, mergee)
        for conversation in moved:
            self._events.to_staff("conversation.contact_changed", conversation, by)()
        self._events.contact("contact.deleted", mergee, by)()
        self._events.contact("contact.merged", base, by)()

    def delete_contact(self, contact: Contact, by: User) -> None:
        """Remove a contact with all that belongs to it."""
        remove_contact(self._store, contact)
        self._events.contact("contact.deleted", contact, by)()
