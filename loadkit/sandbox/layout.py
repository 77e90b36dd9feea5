"""The account as the recordings of a real server had it, so that the sandbox can be recorded by the same walk.

An administrator and one agent at work, one agent outside; a plain inbox, one that demands a proof of identity, one that is locked to a
single conversation, one that greets and asks how it was.
"""

from __future__ import annotations

from typing import Any

from loadkit.sandbox.rows import Inbox
from loadkit.sandbox.settings import InboxSettings
from loadkit.sandbox.store import ACCOUNT, Store

__all__ = ["AGENTS", "described", "lay_out"]

AGENTS = 1
"""How many agents the store must have been made with."""

GREETING = "Hello! Somebody will be with you shortly."


def lay_out(store: Store) -> None:
    """Add what a fresh store of one agent lacks: two inboxes where the agent works, and an agent who works in none."""
    agent = store.users[1]
    for name, settings in (
        ("Locked", InboxSettings(lock_to_single_conversation=True)),
        ("Greeting", InboxSettings(greeting_enabled=True, greeting_message=GREETING, csat_survey_enabled=True)),
    ):
        store.add_inbox(name, settings=settings).members.append(agent)
    store.add_user("Noa Outside")


def described(store: Store) -> dict[str, Any]:
    """Return what a recorder must know of a store that was laid out: tokens and the four inboxes, secrets included."""
    admin, agent, outside = store.users
    plain, verified, locked, greeting = store.inboxes
    return {
        "account_id": ACCOUNT,
        "admin_token": admin.access_token,
        "agent_token": agent.access_token,
        "agent2_token": outside.access_token,
        "inbox": _inbox(plain),
        "hmac_inbox": _inbox(verified),
        "lock_inbox": _inbox(locked),
        "greeting_inbox": _inbox(greeting),
    }


def _inbox(inbox: Inbox) -> dict[str, Any]:
    return {"id": inbox.id, "identifier": inbox.identifier, "hmac_token": inbox.hmac_token}
