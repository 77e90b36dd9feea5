"""The shapes that both the cable's events and the two APIs embed: contacts, users, messages, conversations, notifications.

Pure functions of rows. `availability` is the user's presence where the real server knows the account (an agent's own request),
None where it does not (the Client API, most background jobs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadkit.sandbox.dialect import PRESENT, Dialect
from loadkit.sandbox.rows import Attachment, Contact, Conversation, Message, Notification, Session, User
from loadkit.sandbox.store import ACCOUNT
from loadkit.sandbox.words import epoch, fraction, iso

__all__ = [
    "UNREAD_SHOWN",
    "Availability",
    "Shape",
    "attachment_view",
    "contact_event",
    "conversation_event",
    "message_event",
    "nobody_known",
    "notification_event",
    "sender_view",
    "user_event",
]

Availability = Callable[[User], str | None]
Shape = dict[str, Any]

UNREAD_SHOWN = 10


def nobody_known(user: User) -> str | None:
    """Return None: the availability where no account is at hand."""
    return None


def contact_event(contact: Contact) -> Shape:
    """Return a contact as events and messages show it."""
    return {
        "additional_attributes": contact.additional_attributes,
        "custom_attributes": contact.custom_attributes,
        "email": contact.email,
        "id": contact.id,
        "identifier": contact.identifier,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "thumbnail": "",
        "blocked": contact.blocked,
        "type": "contact",
    }


def user_event(user: User, availability: Availability = nobody_known) -> Shape:
    """Return a user as events and messages show one."""
    return {
        "id": user.id,
        "name": user.name,
        "available_name": user.name,
        "avatar_url": "",
        "type": "user",
        "availability_status": availability(user),
        "thumbnail": "",
    }


def sender_view(message: Message, availability: Availability = nobody_known) -> Shape | None:
    """Return the sender of a message, or None where it has none."""
    if message.sender is None:
        return None
    if isinstance(message.sender, Contact):
        return contact_event(message.sender)
    return user_event(message.sender, availability)


def attachment_view(message: Message, attachment: Attachment, host: str) -> Shape:
    """Return a file of a message; images alone have a thumbnail, and dimensions once they were analysed."""
    name = f"{attachment.key}/{attachment.name}"
    image = attachment.file_type == "image"
    width, height = attachment.dimensions or (None, None)
    return {
        "id": attachment.id,
        "message_id": message.id,
        "file_type": attachment.file_type,
        "account_id": ACCOUNT,
        "extension": None,
        "data_url": f"{host}/rails/active_storage/blobs/redirect/{name}",
        "thumb_url": f"{host}/rails/active_storage/representations/redirect/{name}" if image else "",
        "file_size": attachment.file_size,
        "width": width,
        "height": height,
    }


def message_event(message: Message, host: str, availability: Availability = nobody_known) -> Shape:
    """Return a message as events carry it, without `echo_id` and `performer`."""
    conversation = message.conversation
    sender = sender_view(message, availability)
    shape = {
        "id": message.id,
        "content": message.content,
        "account_id": ACCOUNT,
        "inbox_id": conversation.inbox.id,
        "conversation_id": conversation.id,
        "message_type": message.message_type,
        "created_at": epoch(message.created_at),
        "updated_at": iso(message.updated_at),
        "private": message.private,
        "status": message.status,
        "source_id": message.source_id,
        "content_type": message.content_type,
        "content_attributes": message.content_attributes,
        "sender_type": sender and ("Contact" if sender["type"] == "contact" else "User"),
        "sender_id": sender and sender["id"],
        "external_source_ids": {},
        "additional_attributes": {},
        "processed_message_content": message.content,
        "sentiment": {},
        "conversation": {
            "assignee_id": conversation.assignee.id if conversation.assignee else None,
            "unread_count": min(conversation.unread, UNREAD_SHOWN),
            "last_activity_at": epoch(conversation.last_activity_at),
            "contact_inbox": {"source_id": conversation.session.source_id},
        },
    }
    if message.attachments:
        shape["attachments"] = [attachment_view(message, each, host) for each in message.attachments]
    if sender is not None:
        shape["sender"] = sender
    return shape


def conversation_event(
    conversation: Conversation, host: str, availability: Availability = nobody_known, *, dialect: Dialect = PRESENT
) -> Shape:
    """Return a conversation as events carry it, without the `account_id` that the broadcaster adds."""
    session, last, assignee = conversation.session, conversation.last_said(), conversation.assignee
    shape = {
        "additional_attributes": conversation.additional_attributes,
        "can_reply": True,
        "channel": "Channel::Api",
        "contact_inbox": _session_row(session),
        "id": conversation.id,
        "inbox_id": session.inbox.id,
        "messages": [message_event(last, host, availability)] if last else [],
        "labels": conversation.labels,
        "meta": {
            "sender": contact_event(session.contact),
            "assignee": user_event(assignee, availability) if assignee else None,
            "team": None,
            "hmac_verified": session.hmac_verified,
        },
        "status": conversation.status,
        "custom_attributes": conversation.custom_attributes,
        "snoozed_until": iso(conversation.snoozed_until),
        "unread_count": min(conversation.unread, UNREAD_SHOWN),
        "first_reply_created_at": iso(conversation.first_reply_created_at),
        "priority": conversation.priority,
        "waiting_since": epoch(conversation.waiting_since),
        "agent_last_seen_at": epoch(conversation.agent_last_seen_at),
        "contact_last_seen_at": epoch(conversation.contact_last_seen_at),
        "timestamp": epoch(conversation.last_activity_at),
        "created_at": epoch(conversation.created_at),
    }
    if dialect.tells_activity:
        shape |= {
            "last_activity_at": epoch(conversation.last_activity_at),
            "updated_at": fraction(conversation.updated_at),
            "applied_sla": None,
            "sla_events": [],
            "sla_policy_id": None,
        }
    return shape


def _session_row(session: Session) -> Shape:
    """Return a session with all its columns, its secret too: agents see it."""
    return {
        "id": session.id,
        "contact_id": session.contact.id,
        "inbox_id": session.inbox.id,
        "source_id": session.source_id,
        "created_at": iso(session.created_at),
        "updated_at": iso(session.updated_at),
        "hmac_verified": session.hmac_verified,
        "pubsub_token": session.pubsub_token,
    }


def notification_event(notification: Notification, host: str, *, dialect: Dialect = PRESENT) -> Shape:
    """Return a notification as its events carry it."""
    message = notification.message
    said = (message.content if message else None) or "No content"
    title = f"{notification.conversation.contact.name if message else ''}: {said}"
    return {
        "id": notification.id,
        "notification_type": notification.kind,
        "primary_actor_type": "Conversation",
        "primary_actor_id": notification.conversation.id,
        "read_at": None,
        "secondary_actor": message_event(message, host) if message else None,
        "user": user_event(notification.user),
        "created_at": epoch(notification.created_at),
        "last_activity_at": epoch(notification.created_at),
        "snoozed_until": None,
        "meta": {},
        "account_id": ACCOUNT,
        "primary_actor": conversation_event(notification.conversation, host, dialect=dialect),
        "push_message_title": title,
        "push_message_body": title,
    }
