"""What a customer can do over HTTP: requests to send and what their answers mean, HMAC included. Who carries them is not its matter."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from loadkit.chat import routes
from loadkit.chat.request import Attachment, Defect, Request, form
from loadkit.chat.routes import Route

__all__ = ["ContactApi", "identifier_hash"]

_LIST_OF_VERIFIED = Defect(
    "http_500", "a defect of the server: OneHash Chat 4.2.0 answers 500 when a session whose identity is proven lists its conversations"
)


class ContactApi:
    """The Client API of one inbox."""

    def __init__(self, inbox: str, *, hmac_token: str | None = None) -> None:
        self.inbox = inbox
        self._key = hmac_token

    @property
    def has_key(self) -> bool:
        """Whether identities can be proven."""
        return self._key is not None

    def identity(self, identifier: str | None) -> dict[str, str]:
        """Return what proves an identifier: it and its hash where there is a key."""
        if identifier is None:
            return {}
        proof = {"identifier": identifier}
        return proof | {"identifier_hash": identifier_hash(self._key, identifier)} if self._key else proof

    def show_inbox(self) -> Request:
        """Show the inbox."""
        return self._request(routes.INBOX_SHOW)

    def create_contact(self, *, name: str, identifier: str | None = None) -> Request:
        """Create a contact, or find the session that its identifier has."""
        return self._request(routes.CONTACT_CREATE, {"name": name, **self.identity(identifier)})

    def show_contact(self, source_id: str, *, identifier: str | None = None) -> Request:
        """Show a contact; with its proof this also verifies the session."""
        query = urlencode(self.identity(identifier))
        return self._request(routes.CONTACT_SHOW, source_id=source_id, query=f"?{query}" if query else "")

    def update_contact(self, source_id: str, changes: Mapping[str, Any], *, identifier: str | None = None) -> Request:
        """Change what is known of a contact: `name`, `email`, `phone_number`, `custom_attributes`.

        An email or phone number that another contact has merges the two, and that other one survives.
        """
        return self._request(routes.CONTACT_UPDATE, {**changes, **self.identity(identifier)}, source_id=source_id)

    def create_conversation(self, source_id: str) -> Request:
        """Open a conversation."""
        return self._request(routes.CONVERSATION_CREATE, {}, source_id=source_id)

    def list_conversations(self, source_id: str, *, is_verified: bool = False) -> Request:
        """List the session's conversations; those of a verified session OneHash Chat 4.2.0 cannot list."""
        request = self._request(routes.CONVERSATION_LIST, source_id=source_id)
        return replace(request, defect=_LIST_OF_VERIFIED) if is_verified else request

    def show_conversation(self, source_id: str, conversation: int) -> Request:
        """Show a conversation with all its messages."""
        return self._request(routes.CONVERSATION_SHOW, source_id=source_id, conversation=conversation)

    def resolve(self, source_id: str, conversation: int) -> Request:
        """Resolve a conversation; the customer's next message opens it again."""
        return self._request(routes.CONVERSATION_RESOLVE, {}, source_id=source_id, conversation=conversation)

    def typing(self, source_id: str, conversation: int, *, on: bool) -> Request:
        """Say that the customer types, or no longer does."""
        status = {"typing_status": "on" if on else "off"}
        return self._request(routes.CONVERSATION_TYPING, status, source_id=source_id, conversation=conversation)

    def see(self, source_id: str, conversation: int) -> Request:
        """Say that the customer has looked: the server marks every message to the customer as read, each with an event."""
        return self._request(routes.CONVERSATION_SEEN, {}, source_id=source_id, conversation=conversation)

    def create_message(self, source_id: str, conversation: int, *, content: str, marker: str) -> Request:
        """Send a message that carries a marker."""
        return self._request(routes.MESSAGE_CREATE, {"content": content, "echo_id": marker}, source_id=source_id, conversation=conversation)

    def attach(self, source_id: str, conversation: int, files: Sequence[Attachment], *, content: str, marker: str) -> Request:
        """Send a message with files, as a form."""
        route = routes.MESSAGE_ATTACH
        content_type, body = form({"content": content, "echo_id": marker}, files)
        return Request(route, route.path(inbox=self.inbox, source_id=source_id, conversation=conversation), body, content_type)

    def submit(self, source_id: str, conversation: int, message: int, values: Sequence[Mapping[str, Any]]) -> Request:
        """Fill in a form: the chosen items, each with its `title` and `value`."""
        body = {"submitted_values": values}
        return self._request(routes.MESSAGE_UPDATE, body, source_id=source_id, conversation=conversation, message=message)

    def list_messages(self, source_id: str, conversation: int, *, before: int | None = None) -> Request:
        """List the newest twenty messages, or the newest twenty below an id."""
        query = "" if before is None else f"?before={before}"
        return self._request(routes.MESSAGE_LIST, source_id=source_id, conversation=conversation, query=query)

    def show_survey(self, uuid: str) -> Request:
        """Show the satisfaction survey of a conversation, by its uuid; there is none (404) before the server has sent one."""
        return self._request(routes.CSAT_SHOW, uuid=uuid)

    def rate(self, uuid: str, rating: int, feedback: str = "") -> Request:
        """Answer the survey: 1 to 5, and words."""
        response = {"csat_survey_response": {"rating": rating, "feedback_message": feedback}}
        return self._request(routes.CSAT_UPDATE, {"message": {"submitted_values": response}}, uuid=uuid)

    def _request(self, route: Route, body: dict[str, Any] | None = None, *, query: str = "", **values: str | int) -> Request:
        return Request.json(route, route.path(inbox=self.inbox, **values) + query, body)


def identifier_hash(key: str, identifier: str) -> str:
    """Return the lowercase hex HMAC-SHA256 that proves an identifier."""
    return hmac.new(key.encode(), identifier.encode(), hashlib.sha256).hexdigest()
