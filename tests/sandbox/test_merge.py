"""One person, two contacts: an update that shows it merges them, and everything keeps working under the survivor."""

from __future__ import annotations

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, acts, ask, heard, reply, staff

EMAIL = {"email": "mia@example.test"}


def contacts(sandbox: Sandbox) -> str:
    return f"/public/api/v1/inboxes/{sandbox.inbox}/contacts"


def test_a_shared_email_merges_into_the_other(sandbox: Sandbox) -> None:
    """The other contact survives with what it has and takes what it lacks; session, token, conversation and messages keep working."""
    owner = ask(sandbox.url, "POST", contacts(sandbox), {**EMAIL, "name": "Mia", "custom_attributes": {"plan": "gold"}}).json()
    customer, agent = Customer(sandbox), staff(sandbox)
    assert customer.wire
    ask(sandbox.url, "PATCH", customer.path, {"phone_number": "+4915112345", "custom_attributes": {"plan": "free", "tier": 2}})
    customer.says("before")
    heard(sandbox, agent)
    before = len(agent.events())
    answer = ask(sandbox.url, "PATCH", customer.path, EMAIL).json()
    assert (answer["id"], answer["name"], answer["phone_number"]) == (owner["id"], "Mia", "+4915112345")
    assert answer["custom_attributes"] == {"plan": "gold", "tier": 2}
    shown = ask(sandbox.url, "GET", customer.path).json()
    assert (shown["id"], shown["pubsub_token"]) == (owner["id"], customer.contact["pubsub_token"])
    said = ask(sandbox.url, "GET", customer.messages).json()
    assert [m["sender"]["id"] for m in said] == [owner["id"]]
    told = sorted(heard(sandbox, agent, first=before))
    assert told == ["contact.deleted", "contact.merged", "contact.updated", "conversation.contact_changed"]
    reply(sandbox, customer, "after")
    customer.wire.settle()
    assert customer.hears() == ["after"]
    assert "conversation.contact_changed" not in heard(sandbox, customer.wire)
    assert customer.contact["id"] not in sandbox.store.contacts
    for wire in (agent, customer.wire):
        wire.close()


def test_a_shared_phone_merges_unless_the_emails_differ(sandbox: Sandbox) -> None:
    """With another email in the same request the phone number is dropped instead."""
    phone = {"phone_number": "+4915112345"}
    owner = ask(sandbox.url, "POST", contacts(sandbox), {**EMAIL, **phone}).json()
    stranger, same = Customer(sandbox, connected=False), Customer(sandbox, connected=False)
    apart = ask(sandbox.url, "PATCH", stranger.path, {"email": "other@example.test", **phone}).json()
    assert (apart["id"], apart["email"], apart["phone_number"]) == (stranger.contact["id"], "other@example.test", None)
    assert ask(sandbox.url, "PATCH", same.path, phone).json()["id"] == owner["id"]


def test_who_survived_is_found_by_all_that_it_has(sandbox: Sandbox) -> None:
    """Identifier, email and phone of both lead to the survivor, in a new session."""
    first = Customer(sandbox, connected=False)
    ask(sandbox.url, "PATCH", first.path, {"phone_number": "+4915112345"})
    owner = ask(sandbox.url, "POST", contacts(sandbox), {**EMAIL, "identifier": "u1"}).json()
    ask(sandbox.url, "PATCH", first.path, EMAIL)
    for key, value in (("identifier", "u1"), ("phone_number", "+4915112345"), *EMAIL.items()):
        assert ask(sandbox.url, "POST", contacts(sandbox), {key: value}).json()["id"] == owner["id"]


def test_agents_merge_too(sandbox: Sandbox) -> None:
    """The agent API names both, and the events name who did it."""
    base, mergee = (Customer(sandbox, connected=False) for _ in range(2))
    agent = staff(sandbox)
    ids = {"base_contact_id": base.contact["id"], "mergee_contact_id": mergee.contact["id"]}
    assert acts(sandbox, "POST", "/actions/contact_merge", ids).json()["id"] == base.contact["id"]
    heard(sandbox, agent)
    changed = agent.events("conversation.contact_changed")
    assert [(m["data"]["id"], m["data"]["performer"]["id"]) for m in changed] == [(mergee.conversation, 2)]
    assert acts(sandbox, "POST", "/actions/contact_merge", ids).status == 404
    agent.close()
