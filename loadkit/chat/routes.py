"""Every path of the Client API and the agent API that loadkit asks for, once, with the name it is reported under."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

__all__ = [
    "AGENT_CONVERSATION_LIST",
    "AGENT_CONVERSATION_SHOW",
    "AGENT_INBOX_LIST",
    "AGENT_MESSAGE_CREATE",
    "AGENT_MESSAGE_LIST",
    "AGENT_PROFILE",
    "CABLE",
    "CONTACT_CREATE",
    "CONTACT_SHOW",
    "CONVERSATION_CREATE",
    "CONVERSATION_LIST",
    "CONVERSATION_SHOW",
    "INBOX_SHOW",
    "MESSAGE_CREATE",
    "MESSAGE_LIST",
    "ROUTES",
    "Route",
]

CABLE = "/cable"


@dataclass(frozen=True, slots=True)
class Route:
    """A call: `name` in results (`http.<name>`), `method`, and a path with `{placeholders}`."""

    name: str
    method: str
    template: str

    def path(self, **values: str | int) -> str:
        """Return the path with its placeholders filled in, each quoted."""
        return self.template.format(**{key: quote(str(value), safe="") for key, value in values.items()})


_INBOX = "/public/api/v1/inboxes/{inbox}"
_CONTACT = _INBOX + "/contacts/{source_id}"
_CONVERSATION = _CONTACT + "/conversations/{conversation}"
_ACCOUNT = "/api/v1/accounts/{account}"

INBOX_SHOW = Route("inbox.show", "GET", _INBOX)
CONTACT_CREATE = Route("contact.create", "POST", _INBOX + "/contacts")
CONTACT_SHOW = Route("contact.show", "GET", _CONTACT)
CONVERSATION_LIST = Route("conversation.list", "GET", _CONTACT + "/conversations")
CONVERSATION_CREATE = Route("conversation.create", "POST", _CONTACT + "/conversations")
CONVERSATION_SHOW = Route("conversation.show", "GET", _CONVERSATION)
MESSAGE_LIST = Route("message.list", "GET", _CONVERSATION + "/messages")
MESSAGE_CREATE = Route("message.create", "POST", _CONVERSATION + "/messages")

AGENT_PROFILE = Route("agent.profile", "GET", "/api/v1/profile")
AGENT_INBOX_LIST = Route("agent.inbox.list", "GET", _ACCOUNT + "/inboxes")
AGENT_CONVERSATION_LIST = Route("agent.conversation.list", "GET", _ACCOUNT + "/conversations")
AGENT_CONVERSATION_SHOW = Route("agent.conversation.show", "GET", _ACCOUNT + "/conversations/{conversation}")
AGENT_MESSAGE_LIST = Route("agent.message.list", "GET", _ACCOUNT + "/conversations/{conversation}/messages")
AGENT_MESSAGE_CREATE = Route("agent.message.create", "POST", _ACCOUNT + "/conversations/{conversation}/messages")

ROUTES: tuple[Route, ...] = tuple(value for value in globals().values() if isinstance(value, Route))
