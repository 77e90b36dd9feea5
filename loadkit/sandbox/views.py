"""What the Client API answers, key for key. Pure functions of rows; the shapes it shares with the cable are in `payloads.py`."""

from __future__ import annotations

from loadkit.sandbox.payloads import Availability, Shape, attachment_view, nobody_known, sender_view
from loadkit.sandbox.rows import Contact, Conversation, Inbox, Message, Session
from loadkit.sandbox.store import ACCOUNT
from loadkit.sandbox.words import epoch, iso

__all__ = [
    "contact_row",
    "public_contact",
    "public_conversation",
    "public_csat",
    "public_inbox",
    "public_message",
    "tail",
]


def public_inbox(inbox: Inbox) -> Shape:
    """Return the Client API's inbox."""
    settings = inbox.settings
    return {
        "identifier": inbox.identifier,
        "identity_validation_enabled": inbox.hmac_mandatory,
        "name": inbox.name,
        "timezone": settings.timezone,
        "working_hours": settings.working_hours,
        "working_hours_enabled": settings.working_hours_enabled,
        "csat_survey_enabled": settings.csat_survey_enabled,
        "greeting_enabled": settings.greeting_enabled,
    }


def public_contact(session: Session) -> Shape:
    """Return the Client API's contact: the session and the little it shows of the contact."""
    contact = session.contact
    return {
        "source_id": session.source_id,
        "pubsub_token": session.pubsub_token,
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "phone_number": contact.phone_number,
    }


def contact_row(contact: Contact) -> Shape:
    """Return a contact with all its columns."""
    return {
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "phone_number": contact.phone_number,
        "account_id": ACCOUNT,
        "created_at": iso(contact.created_at),
        "updated_at": iso(contact.updated_at),
        "additional_attributes": contact.additional_attributes,
        "identifier": contact.identifier,
        "custom_attributes": contact.custom_attributes,
        "last_activity_at": iso(contact.last_activity_at),
        "contact_type": 0,
        "middle_name": "",
        "last_name": "",
        "location": None,
        "country_code": None,
        "blocked": contact.blocked,
        "label_list": [],
    }


def public_message(message: Message, host: str) -> Shape:
    """Return the Client API's message; an agent's availability is not known there."""
    shape = {
        "id": message.id,
        "content": message.content,
        "message_type": message.message_type,
        "content_type": message.content_type,
        "content_attributes": message.content_attributes,
        "created_at": epoch(message.created_at),
        "conversation_id": message.conversation.id,
    }
    return shape | tail(message, host, nobody_known)


def tail(message: Message, host: str, availability: Availability) -> Shape:
    """Return the keys that a message has only where there is something to say."""
    tail: Shape = {}
    if message.attachments:
        tail["attachments"] = [attachment_view(message, each, host) for each in message.attachments]
    if sender := sender_view(message, availability):
        tail["sender"] = sender
    return tail


def public_conversation(conversation: Conversation, host: str) -> Shape:
    """Return the Client API's conversation with every message a customer may see, oldest first."""
    return {
        "id": conversation.id,
        "uuid": conversation.uuid,
        "inbox_id": conversation.inbox.id,
        "contact_last_seen_at": epoch(conversation.contact_last_seen_at),
        "status": conversation.status,
        "agent_last_seen_at": epoch(conversation.agent_last_seen_at),
        "messages": [public_message(message, host) for message in conversation.messages if message.public],
        "contact": contact_row(conversation.contact),
    }


def public_csat(message: Message) -> Shape:
    """Return a survey; its response is null until somebody has answered, its text null where the inbox sets none."""
    conversation, settings = message.conversation, message.conversation.inbox.settings
    return {
        "id": message.id,
        "csat_survey_response": _csat_row(message),
        "display_type": message.content_attributes.get("display_type", "emoji"),
        "content": settings.csat_config.get("message"),
        "inbox_avatar_url": "",
        "inbox_name": conversation.inbox.name,
        "locale": "en",
        "conversation_id": conversation.id,
        "created_at": iso(message.created_at),
    }


def _csat_row(message: Message) -> Shape | None:
    response = message.csat
    if response is None:
        return None
    return {
        "id": response.id,
        "account_id": ACCOUNT,
        "conversation_id": message.conversation.id,
        "contact_id": message.conversation.contact.id,
        "message_id": message.id,
        "rating": response.rating,
        "feedback_message": response.feedback_message,
        "assigned_agent_id": response.assigned_agent_id,
        "created_at": iso(response.created_at),
        "updated_at": iso(response.updated_at),
    }
