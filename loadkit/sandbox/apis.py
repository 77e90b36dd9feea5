"""All actions of the two APIs, wired to what they act upon and declared to a router, on one page."""

from __future__ import annotations

from dataclasses import dataclass

from loadkit.sandbox.actions import Actions
from loadkit.sandbox.agent_contacts import AgentContactApi
from loadkit.sandbox.agent_conversations import ConversationApi
from loadkit.sandbox.agent_inboxes import InboxApi
from loadkit.sandbox.agent_messages import AgentMessages
from loadkit.sandbox.agent_rest import AgentApi
from loadkit.sandbox.automatic import Automatic
from loadkit.sandbox.broadcast import Broadcasts
from loadkit.sandbox.calls import CallApi
from loadkit.sandbox.contact_rest import ContactApi
from loadkit.sandbox.csat_rest import CsatApi
from loadkit.sandbox.delivery import Delivery
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.events import Events
from loadkit.sandbox.faults import Faults
from loadkit.sandbox.notices import Notices
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.rest import ClientApi
from loadkit.sandbox.router import Router
from loadkit.sandbox.store import Store
from loadkit.sandbox.truth import Truth
from loadkit.sandbox.upkeep import Upkeep

__all__ = ["Parts", "declare"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the actions act upon; `host` is the server's own address in links."""

    store: Store
    presence: Presence
    broadcasts: Broadcasts
    delivery: Delivery
    faults: Faults
    truth: Truth
    dialect: Dialect
    host: str


def declare(router: Router, parts: Parts) -> None:
    """Declare every route of the imitated server."""
    store, presence, dialect, host = parts.store, parts.presence, parts.dialect, parts.host
    events = Events(parts.broadcasts, parts.delivery, dialect, host)
    notices = Notices(store, parts.broadcasts, dialect, host)
    automatic = Automatic(store, events, host)
    actions = Actions(store, presence, events, notices, automatic, dialect)
    upkeep = Upkeep(store, actions, events)
    conversations = ConversationApi(store, presence, actions, upkeep, events, host)
    for api in (
        ContactApi(store, events, upkeep),
        ClientApi(store, actions, events, dialect, host),
        CsatApi(store, actions),
        AgentApi(store, presence, dialect),
        InboxApi(store, presence, events),
        conversations,
        AgentMessages(store, presence, actions, upkeep, parts.faults, parts.truth, dialect, host),
        CallApi(store, events),
        AgentContactApi(store, presence, events, upkeep, conversations),
    ):
        api.add_to(router)
