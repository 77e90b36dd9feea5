"""Every call of the Client API and the agent API that loadkit makes, once, with the name it is reported under.

Two calls share a path where a server works differently for each: a file is not a text, a private note is not a reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

__all__ = [
    "AGENT_CALL_CREATE",
    "AGENT_CALL_END",
    "AGENT_CONVERSATION_ASSIGN",
    "AGENT_CONVERSATION_LIST",
    "AGENT_CONVERSATION_RESOLVE",
    "AGENT_CONVERSATION_SEEN",
    "AGENT_CONVERSATION_SHOW",
    "AGENT_CONVERSATION_TYPING",
    "AGENT_INBOX_LIST",
    "AGENT_MESSAGE_CREATE",
    "AGENT_MESSAGE_LIST",
    "AGENT_NOTE_CREATE",
    "AGENT_PROFILE",
    "CABLE",
    "CONTACT_CREATE",
    "CONTACT_SHOW",
    "CONTACT_UPDATE",
    "CONVERSATION_CREATE",
    "CONVERSATION_LIST",
    "CONVERSATION_RESOLVE",
    "CONVERSATION_SEEN",
    "CONVERSATION_SHOW",
    "CONVERSATION_TYPING",
    "CSAT_SHOW",
    "CSAT_UPDATE",
    "INBOX_SHOW",
    "MESSAGE_ATTACH",
    "MESSAGE_CREATE",
    "MESSAGE_LIST",
    "MESSAGE_UPDATE",
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
_MESSAGES = _CONVERSATION + "/messages"
_SURVEY = "/public/api/v1/csat_survey/{uuid}"
_ACCOUNT = "/api/v1/accounts/{account}"
_AGENT_CONVERSATION = _ACCOUNT + "/conversations/{conversation}"

INBOX_SHOW = Route("inbox.show", "GET", _INBOX)
CONTACT_CREATE = Route("contact.create", "POST", _INBOX + "/contacts")
CONTACT_SHOW = Route("contact.show", "GET", _CONTACT)
CONTACT_UPDATE = Route("contact.update", "PATCH", _CONTACT)
CONVERSATION_LIST = Route("conversation.list", "GET", _CONTACT + "/conversations")
CONVERSATION_CREATE = Route("conversation.create", "POST", _CONTACT + "/conversations")
CONVERSATION_SHOW = Route("conversation.show", "GET", _CONVERSATION)
CONVERSATION_RESOLVE = Route("conversation.resolve", "POST", _CONVERSATION + "/toggle_status")
CONVERSATION_TYPING = Route("conversation.typing", "POST", _CONVERSATION + "/toggle_typing")
CONVERSATION_SEEN = Route("conversation.seen", "POST", _CONVERSATION + "/update_last_seen")
MESSAGE_LIST = Route("message.list", "GET", _MESSAGES)
MESSAGE_CREATE = Route("message.create", "POST", _MESSAGES)
MESSAGE_ATTACH = Route("message.attach", "POST", _MESSAGES)
MESSAGE_UPDATE = Route("message.update", "PATCH", _MESSAGES + "/{message}")
CSAT_SHOW = Route("csat.show", "GET", _SURVEY)
CSAT_UPDATE = Route("csat.update", "PATCH", _SURVEY)

AGENT_PROFILE = Route("agent.profile", "GET", "/api/v1/profile")
AGENT_INBOX_LIST = Route("agent.inbox.list", "GET", _ACCOUNT + "/inboxes")
AGENT_CONVERSATION_LIST = Route("agent.conversation.list", "GET", _ACCOUNT + "/conversations")
AGENT_CONVERSATION_SHOW = Route("agent.conversation.show", "GET", _AGENT_CONVERSATION)
AGENT_CONVERSATION_SEEN = Route("agent.conversation.seen", "POST", _AGENT_CONVERSATION + "/update_last_seen")
AGENT_CONVERSATION_TYPING = Route("agent.conversation.typing", "POST", _AGENT_CONVERSATION + "/toggle_typing_status")
AGENT_CONVERSATION_ASSIGN = Route("agent.conversation.assign", "POST", _AGENT_CONVERSATION + "/assignments")
AGENT_CONVERSATION_RESOLVE = Route("agent.conversation.resolve", "POST", _AGENT_CONVERSATION + "/toggle_status")
AGENT_MESSAGE_LIST = Route("agent.message.list", "GET", _AGENT_CONVERSATION + "/messages")
AGENT_MESSAGE_CREATE = Route("agent.message.create", "POST", _AGENT_CONVERSATION + "/messages")
AGENT_NOTE_CREATE = Route("agent.note.create", "POST", _AGENT_CONVERSATION + "/messages")
AGENT_CALL_CREATE = Route("agent.call.create", "POST", _AGENT_CONVERSATION + "/create_call")
AGENT_CALL_END = Route("agent.call.end", "POST", _AGENT_CONVERSATION + "/end_call")

ROUTES: tuple[Route, ...] = tuple(value for value in globals().values() if isinstance(value, Route))
