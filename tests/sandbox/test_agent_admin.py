"""Inboxes, their members, agents, and what an agent says about themselves: made, changed and removed."""

from __future__ import annotations

from typing import Any

import pytest

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, acts, ask, heard, staff
from tests.support import eventually

REFUSED = {"error": "You are not authorized to do this action"}
INBOX: dict[str, Any] = {"name": "load-1", "channel": {"type": "api", "hmac_mandatory": False}}


def test_an_inbox_is_made_changed_and_removed(sandbox: Sandbox) -> None:
    """It works at once, its settings come back as they were given, and its conversations go with it."""
    wire = staff(sandbox)
    made = acts(sandbox, "POST", "/inboxes", {**INBOX, "greeting_enabled": True, "timezone": "Europe/Berlin"}, admin=True).json()
    assert (made["name"], made["greeting_enabled"], made["timezone"], made["hmac_mandatory"]) == ("load-1", True, "Europe/Berlin", False)
    assert len(made["hmac_token"]) == 24
    customer = Customer(sandbox, inbox=made["inbox_identifier"], connected=False)
    hours = [{"day_of_week": 0, "closed_all_day": False, "open_hour": 8, "open_minutes": 0, "close_hour": 9, "close_minutes": 0}]
    change = {"lock_to_single_conversation": True, "working_hours": hours, "channel": {"hmac_mandatory": True}}
    changed = acts(sandbox, "PATCH", f"/inboxes/{made['id']}", change, admin=True).json()
    assert (changed["lock_to_single_conversation"], changed["hmac_mandatory"], changed["greeting_enabled"]) == (True, True, True)
    assert [(d["day_of_week"], d["open_hour"]) for d in changed["working_hours"]][:2] == [(0, 8), (1, 9)]
    assert acts(sandbox, "GET", f"/inboxes/{made['id']}", admin=True).json() == changed
    assert "message" in acts(sandbox, "DELETE", f"/inboxes/{made['id']}", admin=True).json()
    eventually(lambda: ask(sandbox.url, "GET", customer.path).status == 404)
    assert acts(sandbox, "GET", f"/conversations/{customer.conversation}", admin=True).status == 404
    assert heard(sandbox, wire).count("account.cache_invalidated") == 3
    assert set(wire.events("account.cache_invalidated")[0]["data"]["cache_keys"]) == {"label", "inbox", "team"}
    wire.close()


@pytest.mark.parametrize("name", ["", "a/b", "<x>", "@x", "x-"])
def test_an_inbox_needs_a_plain_name(sandbox: Sandbox, name: str) -> None:
    """It begins and ends with a word character and holds none of five characters."""
    answer = acts(sandbox, "POST", "/inboxes", INBOX | {"name": name}, admin=True)
    assert (answer.status, answer.json()["attributes"]) == (422, ["name"])


def test_members_are_added_replaced_and_removed(sandbox: Sandbox) -> None:
    """Who is a member sees the inbox and may reply in it; ids as text name nobody."""
    inbox = acts(sandbox, "POST", "/inboxes", INBOX, admin=True).json()["id"]
    assert acts(sandbox, "GET", f"/inboxes/{inbox}").json() == REFUSED

    def members(method: str, ids: list[Any]) -> Any:
        answer = acts(sandbox, method, "/inbox_members", {"inbox_id": inbox, "user_ids": ids}, admin=True)
        return [row["id"] for row in answer.json()["payload"]] if answer.body else []

    assert members("POST", [2, 3, "4"]) == [2, 3]
    assert acts(sandbox, "GET", f"/inboxes/{inbox}").json()["id"] == inbox
    assert members("PATCH", [4]) == [4]
    assert members("POST", [2]) == [4, 2]
    assert members("DELETE", [4]) == []
    assert [row["id"] for row in acts(sandbox, "GET", f"/inbox_members/{inbox}").json()["payload"]] == [2]
    assert acts(sandbox, "POST", "/inbox_members", {"inbox_id": 99, "user_ids": []}, admin=True).status == 404
    assert acts(sandbox, "POST", "/inbox_members", {"inbox_id": inbox, "user_ids": [99]}, admin=True).status == 404


def test_agents_come_and_go(sandbox: Sandbox) -> None:
    """A new one is unconfirmed and works in the named inboxes; a removed one's token is worth nothing."""
    body = {"name": "New Agent", "email": "New@Example.test", "role": "agent", "selected_inboxes": [1]}
    made = acts(sandbox, "POST", "/agents", body, admin=True).json()
    assert (made["email"], made["confirmed"], made["role"]) == ("new@example.test", False, "agent")
    assert "access_token" not in made
    assert acts(sandbox, "POST", "/agents", body, admin=True).status == 422
    assert acts(sandbox, "PATCH", f"/agents/{made['id']}", {"role": "administrator"}, admin=True).json()["role"] == "administrator"
    token = sandbox.store.users[-1].access_token
    assert acts(sandbox, "DELETE", f"/agents/{made['id']}", admin=True).body == b""
    gone = ask(sandbox.url, "GET", "/api/v1/profile", headers={"Api-Access-Token": token})
    assert (gone.status, gone.json()) == (401, {"error": "Invalid Access Token"})
    assert made["id"] not in [row["id"] for row in acts(sandbox, "GET", "/agents").json()]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/inboxes"), ("PATCH", "/inboxes/1"), ("DELETE", "/inboxes/1"), ("POST", "/inbox_members")),
        *(("POST", "/agents"), ("DELETE", "/agents/2"), ("DELETE", "/contacts/1")),
    ],
)
def test_only_administrators_may(sandbox: Sandbox, method: str, path: str) -> None:
    """Everybody else gets a 401, whatever they ask for."""
    answer = acts(sandbox, method, path, {})
    assert (answer.status, answer.json()) == (401, REFUSED)


def test_what_an_agent_chooses_is_what_everybody_sees(sandbox: Sandbox) -> None:
    """Availability counts while they are there, and always once they never go offline; a busy one is given nothing."""
    headers = {"Api-Access-Token": sandbox.agent_tokens[0]}

    def choose(what: str, value: Any) -> Any:
        body = {"profile": {"account_id": 1, what: value}}
        return ask(sandbox.url, "POST", f"/api/v1/profile/{what}", body, headers=headers).json()["accounts"][0]

    assert choose("availability", "busy")["availability_status"] == "offline"
    assert choose("auto_offline", False)["availability_status"] == "busy"
    customer = Customer(sandbox)
    assert customer.wire
    customer.wire.settle()
    assert customer.wire.events("presence.update")[0]["data"]["users"] == {"2": "busy"}
    assert sandbox.store.conversations[customer.conversation].assignee is None
    choose("availability", "online")
    assert sandbox.store.conversations[Customer(sandbox, connected=False).conversation].assignee is sandbox.store.users[1]
    assert ask(sandbox.url, "POST", "/api/v1/profile/availability", {}, headers=headers).status == 422
    customer.wire.close()
