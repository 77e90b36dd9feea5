"""What the agent API answers, key for key. Pure functions of rows."""

from __future__ import annotations

from typing import Any

from loadkit.sandbox.payloads import UNREAD_SHOWN, Availability, Shape, contact_event, message_event, user_event
from loadkit.sandbox.rows import ACTIVITY, Contact, Conversation, Inbox, Message, User
from loadkit.sandbox.store import ACCOUNT
from loadkit.sandbox.views import tail, working_hours
from loadkit.sandbox.words import epoch, fraction, iso

__all__ = ["agent_conversation", "agent_message", "agent_row", "inbox_row", "message_page", "profile"]

ACCOUNT_NAME = "Sandbox"


def inbox_row(inbox: Inbox, *, with_hmac_token: bool) -> Shape:
    """Return the agent API's inbox; only administrators see its HMAC key."""
    shape: Shape = {
        "id": inbox.id,
        "avatar_url": "",
        "channel_id": inbox.id,
        "name": inbox.name,
        "channel_type": "Channel::Api",
        "greeting_enabled": False,
        "greeting_message": None,
        "working_hours_enabled": False,
        "enable_email_collect": True,
        "csat_survey_enabled": False,
        "csat_config": {},
        "enable_auto_assignment": True,
        "auto_assignment_config": {},
        "out_of_office_message": None,
        "working_hours": working_hours(),
        "timezone": "UTC",
        "callback_webhook_url": None,
        "allow_messages_after_resolved": True,
        "lock_to_single_conversation": False,
        "sender_name_type": "friendly",
        "business_name": None,
        **dict.fromkeys(("widget_color", "logo_colors", "website_url")),
        "hmac_mandatory": inbox.hmac_mandatory,
        **dict.fromkeys(("welcome_title", "welcome_tagline", "web_widget_script", "web_widget_options")),
        **dict.fromkeys(("website_token", "selected_feature_flags", "reply_time")),
        **dict.fromkeys(("messaging_service_sid", "phone_number")),
    }
    if with_hmac_token:
        shape["hmac_token"] = inbox.hmac_token
    return shape | {
        "webhook_url": None,
        "inbox_identifier": inbox.identifier,
        "additional_attributes": {},
        "provider": None,
    }


def agent_message(message: Message, host: str, availability: Availability, echo: Shape | None = None) -> Shape:
    """Return the agent API's message; `echo` holds the `echo_id` where this is the answer to its making."""
    shape = {"id": message.id, "content": message.content, "inbox_id": message.conversation.inbox.id, **(echo or {})}
    shape |= {
        "conversation_id": message.conversation.id,
        "message_type": message.message_type,
        "content_type": message.content_type,
        "status": message.status,
        "content_attributes": message.content_attributes,
        "created_at": epoch(message.created_at),
        "private": message.private,
        "source_id": message.source_id,
    }
    return shape | tail(message, host, availability)


def message_page(conversation: Conversation, page: list[Message], host: str, availability: Availability) -> Shape:
    """Return the agent API's list of messages."""
    meta: Shape = {"labels": [], "additional_attributes": {}, "contact": contact_event(conversation.contact)}
    if conversation.assignee:
        meta["assignee"] = user_event(conversation.assignee, availability)
    meta["agent_last_seen_at"] = iso(conversation.agent_last_seen_at)
    meta["assignee_last_seen_at"] = iso(conversation.assignee_last_seen_at)
    return {"meta": meta, "payload": [agent_message(message, host, availability) for message in page]}


def agent_row(user: User, availability: Availability) -> Shape:
    """Return a user as the agent API lists one."""
    return {
        "id": user.id,
        "account_id": ACCOUNT,
        "availability_status": availability(user),
        "auto_offline": True,
        "confirmed": True,
        "email": user.email,
        "available_name": user.name,
        "name": user.name,
        "role": user.role,
        "thumbnail": "",
        "custom_role_id": None,
    }


def agent_conversation(conversation: Conversation, host: str, availability: Availability, *, contact_online: bool) -> Shape:
    """Return the agent API's conversation; its one message is the newest of any kind."""
    last = conversation.messages[-1:]
    said = next((message for message in reversed(conversation.messages) if message.message_type != ACTIVITY), None)
    meta: Shape = {"sender": _agent_contact(conversation.contact, online=contact_online), "channel": "Channel::Api"}
    if conversation.assignee:
        meta["assignee"] = agent_row(conversation.assignee, availability)
    meta["hmac_verified"] = conversation.session.hmac_verified
    return {
        "meta": meta,
        "id": conversation.id,
        "messages": [message_event(message, host, availability) for message in last],
        "account_id": ACCOUNT,
        "uuid": conversation.uuid,
        "additional_attributes": {},
        "agent_last_seen_at": epoch(conversation.agent_last_seen_at),
        "assignee_last_seen_at": epoch(conversation.assignee_last_seen_at),
        "can_reply": True,
        "contact_last_seen_at": epoch(conversation.contact_last_seen_at),
        "custom_attributes": conversation.custom_attributes,
        "inbox_id": conversation.inbox.id,
        "labels": [],
        "muted": False,
        "snoozed_until": iso(conversation.snoozed_until),
        "status": conversation.status,
        "created_at": epoch(conversation.created_at),
        "updated_at": fraction(conversation.updated_at),
        "timestamp": epoch(conversation.last_activity_at),
        "first_reply_created_at": epoch(conversation.first_reply_created_at),
        "unread_count": min(conversation.unread, UNREAD_SHOWN),
        "last_non_activity_message": message_event(said, host, availability) if said else None,
        "last_activity_at": epoch(conversation.last_activity_at),
        "priority": None,
        "waiting_since": epoch(conversation.waiting_since),
        "sla_policy_id": None,
        "sla_events": [],
    }


def _agent_contact(contact: Contact, *, online: bool) -> Shape:
    shape: Shape = {
        "additional_attributes": {},
        "availability_status": "online" if online else "offline",
        "email": contact.email,
        "id": contact.id,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "blocked": False,
        "identifier": contact.identifier,
        "thumbnail": "",
        "custom_attributes": contact.custom_attributes,
    }
    if contact.last_activity_at is not None:
        shape["last_activity_at"] = epoch(contact.last_activity_at)
    return shape | {"created_at": epoch(contact.created_at)}


def profile(user: User, availability: Availability) -> Shape:
    """Return what a user is told about themselves, both tokens included."""
    permissions = ["administrator" if user.role == "administrator" else "agent"]
    account: dict[str, Any] = {
        "id": ACCOUNT,
        "name": ACCOUNT_NAME,
        "status": "active",
        "active_at": None,
        "role": user.role,
        "permissions": permissions,
        "availability": "online",
        "availability_status": availability(user),
        "auto_offline": True,
        "custom_role_id": None,
        "custom_role": None,
    }
    return {
        "access_token": user.access_token,
        "account_id": ACCOUNT,
        "available_name": user.name,
        "avatar_url": "",
        "confirmed": True,
        "display_name": None,
        "message_signature": None,
        "email": user.email,
        "id": user.id,
        "inviter_id": None,
        "name": user.name,
        "provider": "email",
        "pubsub_token": user.pubsub_token,
        "role": user.role,
        "ui_settings": {},
        "uid": user.email,
        "type": None,
        "accounts": [account],
    }
