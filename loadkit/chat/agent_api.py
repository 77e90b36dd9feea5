"""What an agent's app asks of a conversation besides replying: requests to send. Who carries them is not its matter."""

from __future__ import annotations

from typing import Any

from loadkit.chat import routes
from loadkit.chat.request import Request
from loadkit.chat.routes import Route

__all__ = ["AgentApi"]


class AgentApi:
    """The agent API of one account; conversations go by their public display ids."""

    def __init__(self, account: int) -> None:
        self.account = account

    def list_conversations(self) -> Request:
        """List the open conversations, those that were active last."""
        return Request.json(routes.AGENT_CONVERSATION_LIST, routes.AGENT_CONVERSATION_LIST.path(account=self.account))

    def show(self, conversation: int) -> Request:
        """Show a conversation."""
        return self._of(conversation, routes.AGENT_CONVERSATION_SHOW)

    def list_messages(self, conversation: int) -> Request:
        """List a conversation's newest twenty messages."""
        return self._of(conversation, routes.AGENT_MESSAGE_LIST)

    def see(self, conversation: int) -> Request:
        """Say that the agent has looked; nobody is told."""
        return self._of(conversation, routes.AGENT_CONVERSATION_SEEN, {})

    def typing(self, conversation: int, *, on: bool) -> Request:
        """Say that the agent types, or no longer does."""
        return self._of(conversation, routes.AGENT_CONVERSATION_TYPING, {"typing_status": "on" if on else "off"})

    def assign(self, conversation: int, user: int) -> Request:
        """Assign a conversation to a user; assigning it again to the same one tells nobody."""
        return self._of(conversation, routes.AGENT_CONVERSATION_ASSIGN, {"assignee_id": user})

    def resolve(self, conversation: int) -> Request:
        """Resolve a conversation; where the inbox is set so, the server sends its satisfaction survey then."""
        return self._of(conversation, routes.AGENT_CONVERSATION_RESOLVE, {"status": "resolved"})

    def note(self, conversation: int, content: str) -> Request:
        """Leave a private note: a message that only agents see."""
        return self._of(conversation, routes.AGENT_NOTE_CREATE, {"content": content, "message_type": "outgoing", "private": True})

    def start_call(self, conversation: int, room: str, message: int) -> Request:
        """Call the customer by video, about a message. Chatwoot has no such calls."""
        return self._of(conversation, routes.AGENT_CALL_CREATE, {"room_id": room, "message_id": message})

    def end_call(self, conversation: int, room: str) -> Request:
        """Hang up."""
        return self._of(conversation, routes.AGENT_CALL_END, {"room_id": room})

    def _of(self, conversation: int, route: Route, body: dict[str, Any] | None = None) -> Request:
        return Request.json(route, route.path(account=self.account, conversation=conversation), body)
