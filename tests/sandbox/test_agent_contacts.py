"""The agent API's contacts: found again, changed, and cleaned away."""

from __future__ import annotations

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, acts, ask, heard, staff

ROW = [
    *("additional_attributes", "availability_status", "email", "id", "name", "phone_number", "blocked", "identifier", "thumbnail"),
    *("custom_attributes", "created_at", "contact_inboxes"),
]


def test_contacts_are_searched_by_what_names_them(sandbox: Sandbox) -> None:
    """Fifteen a page, with a count; by a part of name, email, phone or identifier; without a word it is a 422."""
    path = f"/public/api/v1/inboxes/{sandbox.inbox}/contacts"
    for number in range(17):
        ask(sandbox.url, "POST", path, {"name": f"Loadkit {number}", "identifier": f"lk-{number}"})
    ask(sandbox.url, "POST", path, {"name": "Somebody", "email": "lk-mail@example.test", "phone_number": "+4915112345"})
    found = acts(sandbox, "GET", "/contacts/search?q=LOADKIT").json()
    assert found["meta"] == {"count": 17, "current_page": 1}
    assert len(found["payload"]) == 15
    assert len(acts(sandbox, "GET", "/contacts/search?q=loadkit&page=2").json()["payload"]) == 2
    for word in ("lk-mail", "15112", "omebod"):
        rows = acts(sandbox, "GET", f"/contacts/search?q={word}").json()["payload"]
        assert [row["name"] for row in rows] == ["Somebody"]
        assert list(rows[0]) == ROW
        assert rows[0]["contact_inboxes"][0]["inbox"]["channel_type"] == "Channel::Api"
    assert acts(sandbox, "GET", "/contacts/search").status == 422
    assert acts(sandbox, "GET", "/contacts").json()["meta"]["count"] == 18


def test_a_deleted_contact_takes_everything_along(sandbox: Sandbox) -> None:
    """Session, conversation, messages and cable token are gone; agents are told; who is online cannot be deleted."""
    agent, away, here = staff(sandbox), Customer(sandbox, connected=False), Customer(sandbox)
    assert here.wire
    away.says("hi")
    refused = acts(sandbox, "DELETE", f"/contacts/{here.contact['id']}", admin=True)
    assert (refused.status, refused.json()["message"].endswith("is Online, please try again later")) == (422, True)
    gone = acts(sandbox, "DELETE", f"/contacts/{away.contact['id']}", admin=True)
    assert (gone.status, gone.body) == (200, b"")
    assert ask(sandbox.url, "GET", away.path).status == 404
    assert acts(sandbox, "GET", f"/conversations/{away.conversation}").status == 404
    assert acts(sandbox, "GET", f"/contacts/{away.contact['id']}").status == 404
    assert "contact.deleted" in heard(sandbox, agent)
    state = ask(sandbox.control, "GET", "/state").json()
    assert (state["contacts"], state["conversations"], state["messages"]) == (1, 1, 0)
    for wire in (agent, here.wire):
        wire.close()


def test_an_agent_makes_and_changes_a_contact(sandbox: Sandbox) -> None:
    """With a session where an inbox is named; what somebody else has already is refused."""
    body = {"inbox_id": 1, "name": "Mia", "email": "mia@example.test", "identifier": "u1"}
    made = acts(sandbox, "POST", "/contacts", body).json()["payload"]
    source_id = made["contact_inbox"]["source_id"]
    assert ask(sandbox.url, "GET", f"/public/api/v1/inboxes/{sandbox.inbox}/contacts/{source_id}").json()["name"] == "Mia"
    taken = acts(sandbox, "POST", "/contacts", {"email": "mia@example.test"})
    assert (taken.status, taken.json()) == (422, {"message": "Email has already been taken", "attributes": ["email"]})
    path = f"/contacts/{made['contact']['id']}"
    changed = acts(sandbox, "PATCH", path, {"name": "Mia M", "custom_attributes": {"a": 1}}).json()["payload"]
    assert (changed["name"], changed["email"], changed["custom_attributes"]) == ("Mia M", "mia@example.test", {"a": 1})
    assert acts(sandbox, "GET", path).json()["payload"]["name"] == "Mia M"


def test_the_conversations_of_a_contact_are_listed(sandbox: Sandbox) -> None:
    """The latest active first, of the inboxes that the agent sees."""
    customer = Customer(sandbox, connected=False)
    second = ask(sandbox.url, "POST", customer.path + "/conversations", {}).json()["id"]
    customer.says("newest")
    listed = acts(sandbox, "GET", f"/contacts/{customer.contact['id']}/conversations").json()["payload"]
    assert [row["id"] for row in listed] == [customer.conversation, second]
