"""What a customer can do over HTTP: requests to send and what their answers mean, HMAC included. Who carries them is not its matter."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from loadkit.chat import routes
from loadkit.chat.routes import Route

__all__ = ["ContactApi", "Request", "identifier_hash"]


@dataclass(frozen=True, slots=True)
class Request:
    """A call ready to be carried: its route (the name it is reported under), its path and its JSON body."""

    route: Route
    path: str
    body: bytes | None = None


class ContactApi:
    """The Client API of one inbox."""

    def __init__(self, inbox: str, *, hmac_token: str | None = None) -> None:
        self.inbox = inbox
        self._key = hmac_token

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

    def create_conversation(self, source_id: str) -> Request:
        """Open a conversation."""
        return self._request(routes.CONVERSATION_CREATE, {}, source_id=source_id)

    def list_conversations(self, source_id: str) -> Request:
        """List the session's conversations."""
        return self._request(routes.CONVERSATION_LIST, source_id=source_id)

    def show_conversation(self, source_id: str, conversation: int) -> Request:
        """Show a conversation with all its messages."""
        return self._request(routes.CONVERSATION_SHOW, source_id=source_id, conversation=conversation)

    def create_message(self, source_id: str, conversation: int, *, content: str, marker: str) -> Request:
        """Send a message that carries a marker."""
        return self._request(routes.MESSAGE_CREATE, {"content": content, "echo_id": marker}, source_id=source_id, conversation=conversation)

    def list_messages(self, source_id: str, conversation: int, *, before: int | None = None) -> Request:
        """List the newest twenty messages, or the newest twenty below an id."""
        query = "" if before is None else f"?before={before}"
        return self._request(routes.MESSAGE_LIST, source_id=source_id, conversation=conversation, query=query)

    def _request(self, route: Route, body: dict[str, Any] | None = None, *, query: str = "", **values: str | int) -> Request:
        path = route.path(inbox=self.inbox, **values) + query
        return Request(route, path, None if body is None else msgspec.json.encode(body))


def identifier_hash(key: str, identifier: str) -> str:
    """Return the lowercase hex HMAC-SHA256 that proves an identifier."""
    return hmac.new(key.encode(), identifier.encode(), hashlib.sha256).hexdigest()
