"""What the agent API answers, key for key. Pure functions of rows."""

from __future__ import annotations

from typing import Any

from loadkit.sandbox.payloads import UNREAD_SHOWN, Availability, Shape, contact_event, message_event, user_event
from loadkit.sandbox.rows import ACTIVITY, Contact, Conversation, Inbox, Message, Session, User
from loadkit.sandbox.store import ACCOUNT, ACCOUNT_NAME
from loadkit.sandbox.views import tail
from loadkit.sandbox.words import epoch, fraction, iso

__all__ = [
    "agent_contact",
    "agent_conversation",
    "agent_message",
    "agent_row",
    "inbox_row",
    "message_page",
    "profile",
    "session_view",
]


def inbox_row(inbox: Inbox, *, with_hmac_token: bool) -> Shape:
    """Return the agent API's inbox; only administrators see its HMAC key."""
    settings = inbox.settings
    shape: Shape = {
        **_inbox_slim(inbox),
        "greeting_enabled": settings.greeting_enabled,
        "greeting_message": settings.greeting_message,
        "working_hours_enabled": settings.working_hours_enabled,
        "enable_email_collect": settings.enable_email_collect,
        "csat_survey_enabled": settings.csat_survey_enabled,
        "csat_config": settings.csat_config,
        "enable_auto_assignment": settings.enable_auto_assignment,
        "auto_assignment_config": {},
        "out_of_office_message": settings.out_of_office_message,
        "working_hours": settings.working_hours,
        "timezone": settings.timezone,
        "callback_webhook_url": None,
        "allow_messages_after_resolved": settings.allow_messages_after_resolved,
        "lock_to_single_conversation": settings.lock_to_single_conversation,
        "sender_name_type": settings.sender_name_type,
        "business_name": settings.business_name,
        **dict.fromkeys(("widget_color", "logo_colors", "website_url")),
        "hmac_mandatory": inbox.hmac_mandatory,
        **dict.fromkeys(("welcome_title", "welcome_tagline", "web_widget_script", "web_widget_options")),
        **dict.fromkeys(("website_token", "selected_feature_flags", "reply_time")),
        **dict.fromkeys(("messaging_service_sid", "phone_number")),
    }
    if with_hmac_token:
        shape["hmac_token"] = inbox.hmac_token
    return shape | {
        "webhook_url": settings.webhook_url,
        "inbox_identifier": inbox.identifier,
        "additional_attributes": settings.additional_attributes,
    }


def _inbox_slim(inbox: Inbox) -> Shape:
    shape = {"id": inbox.id, "avatar_url": "", "channel_id": inbox.id, "name": inbox.name}
    return {**shape, "channel_type": "Channel::Api", "provider": None}


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
    meta: Shape = {
        "labels": conversation.labels,
        "additional_attributes": conversation.additional_attributes,
        "contact": contact_event(conversation.contact),
    }
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
        "auto_offline": user.auto_offline,
        "confirmed": user.confirmed,
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
    meta: Shape = {"sender": agent_contact(conversation.contact, online=contact_online), "channel": "Channel::Api"}
    if conversation.assignee:
        meta["assignee"] = agent_row(conversation.assignee, availability)
    meta["hmac_verified"] = conversation.session.hmac_verified
    return {
        "meta": meta,
        "id": conversation.id,
        "messages": [message_event(message, host, availability) for message in last],
        "account_id": ACCOUNT,
        "uuid": conversation.uuid,
        "additional_attributes": conversation.additional_attributes,
        "agent_last_seen_at": epoch(conversation.agent_last_seen_at),
        "assignee_last_seen_at": epoch(conversation.assignee_last_seen_at),
        "can_reply": True,
        "contact_last_seen_at": epoch(conversation.contact_last_seen_at),
        "custom_attributes": conversation.custom_attributes,
        "inbox_id": conversation.inbox.id,
        "labels": conversation.labels,
        "muted": conversation.contact.blocked,
        "snoozed_until": iso(conversation.snoozed_until),
        "status": conversation.status,
        "created_at": epoch(conversation.created_at),
        "updated_at": fraction(conversation.updated_at),
        "timestamp": epoch(conversation.last_activity_at),
        "first_reply_created_at": epoch(conversation.first_reply_created_at),
        "unread_count": min(conversation.unread, UNREAD_SHOWN),
        "last_non_activity_message": message_event(said, host, availability) if said else None,
        "last_activity_at": epoch(conversation.last_activity_at),
        "priority": conversation.priority,
        "waiting_since": epoch(conversation.waiting_since),
        "sla_policy_id": None,
        "sla_events": [],
    }


def agent_contact(contact: Contact, *, online: bool, sessions: bool = False) -> Shape:
    """Return a contact as the agent API shows one; `sessions` adds where they may be written to."""
    shape: Shape = {
        "additional_attributes": contact.additional_attributes,
        "availability_status": "online" if online else "offline",
        "email": contact.email,
        "id": contact.id,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "blocked": contact.blocked,
        "identifier": contact.identifier,
        "thumbnail": "",
        "custom_attributes": contact.custom_attributes,
    }
    if contact.last_activity_at is not None:
        shape["last_activity_at"] = epoch(contact.last_activity_at)
    shape["created_at"] = epoch(contact.created_at)
    if sessions:
        shape["contact_inboxes"] = [session_view(each) for each in contact.sessions]
    return shape


def session_view(session: Session | None) -> Shape:
    """Return a session as the agent API shows one beside its contact; its values are null where there is none."""
    if session is None:
        return {"source_id": None, "inbox": None}
    return {"source_id": session.source_id, "inbox": _inbox_slim(session.inbox)}


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
        "availability": user.availability,
        "availability_status": availability(user),
        "auto_offline": user.auto_offline,
        "custom_role_id": None,
        "custom_role": None,
    }
    return {
        "access_token": user.access_token,
        "account_id": ACCOUNT,
        "available_name": user.name,
        "avatar_url": "",
        "confirmed": user.confirmed,
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
