"""What agents do to conversations and messages besides speaking, and what each of it tells to whom."""

from __future__ import annotations

from typing import Any

import pytest

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, acts, ask, heard, reply, staff

CHANGED = ["conversation.status_changed", "conversation.updated"]


def on(customer: Customer, tail: str = "") -> str:
    return f"/conversations/{customer.conversation}{tail}"


def since(sandbox: Sandbox, customer: Customer, method: str, path: str, body: Any = None) -> tuple[Any, list[str], list[str]]:
    """Return an action's answer and what an agent and the customer hear of it."""
    assert customer.wire
    agent = staff(sandbox, 2)
    heard(sandbox, customer.wire)
    first = len(customer.wire.events())
    answer = acts(sandbox, method, path, body)
    told = [name for name in heard(sandbox, agent) if name != "presence.update"]
    agent.close()
    return answer, told, heard(sandbox, customer.wire, first=first)


def test_a_muted_customer_is_blocked_and_resolved(sandbox: Sandbox, customer: Customer) -> None:
    """Their messages reopen nothing, their next conversation begins resolved; unmuting lifts it."""
    answer, told, hears = since(sandbox, customer, "POST", on(customer, "/mute"))
    assert (answer.status, answer.body) == (200, b"")
    assert sorted(told) == ["contact.updated", *CHANGED, "message.created", "message.created"]
    assert hears == CHANGED
    shown = acts(sandbox, "GET", on(customer)).json()
    assert (shown["muted"], shown["status"], shown["meta"]["sender"]["blocked"]) == (True, "resolved", True)
    customer.says("hello?")
    assert acts(sandbox, "GET", on(customer)).json()["status"] == "resolved"
    assert ask(sandbox.url, "POST", customer.path + "/conversations", {}).json()["status"] == "resolved"
    acts(sandbox, "POST", on(customer, "/unmute"))
    customer.says("hello!")
    assert acts(sandbox, "GET", on(customer)).json()["status"] == "open"


def test_labels_are_replaced_and_told(sandbox: Sandbox, customer: Customer) -> None:
    """Everybody hears of the conversation, agents of the activity, nobody of labels that were there already."""
    answer, told, hears = since(sandbox, customer, "POST", on(customer, "/labels"), {"labels": ["load", "vip", "load"]})
    assert answer.json() == {"payload": ["load", "vip"]}
    assert (sorted(told), hears) == (["conversation.updated", "message.created"], ["conversation.updated"])
    assert since(sandbox, customer, "POST", on(customer, "/labels"), {"labels": ["load", "vip"]})[1:] == ([], [])
    assert acts(sandbox, "GET", on(customer, "/labels")).json() == {"payload": ["load", "vip"]}
    for query, count in (("labels[]=vip", 1), ("labels[]=other", 0), ("q=nothing", 0)):
        assert acts(sandbox, "GET", f"/conversations/meta?{query}").json()["meta"]["all_count"] == count
    assert acts(sandbox, "GET", on(customer)).json()["labels"] == ["load", "vip"]


def test_a_priority_is_set_changed_and_removed(sandbox: Sandbox, customer: Customer) -> None:
    """Each is an update and an activity; an unknown word is refused."""
    for priority in ("high", "low", None):
        answer, told, hears = since(sandbox, customer, "POST", on(customer, "/toggle_priority"), {"priority": priority})
        assert (answer.body, sorted(told), hears) == (b"", ["conversation.updated", "message.created"], ["conversation.updated"])
        assert acts(sandbox, "GET", on(customer)).json()["priority"] == priority
    assert acts(sandbox, "POST", on(customer, "/toggle_priority"), {"priority": "huge"}).status == 422


def test_a_deleted_message_is_emptied(sandbox: Sandbox, customer: Customer) -> None:
    """The row stays with other words, and everybody is told what changed."""
    number = reply(sandbox, customer, "m").json()["id"]
    answer, told, hears = since(sandbox, customer, "DELETE", on(customer, f"/messages/{number}"))
    row = answer.json()
    assert (row["id"], row["content"], row["content_attributes"]) == (number, "This message was deleted", {"deleted": True})
    assert (told, hears) == (["message.updated"], ["message.updated"])
    assert customer.wire
    data = customer.wire.events("message.updated")[0]["data"]
    assert data["previous_changes"]["content"] == ["hello", "This message was deleted"]
    assert data["performer"]["id"] == 2
    assert acts(sandbox, "DELETE", on(customer, "/messages/999")).status == 404


def test_a_delivery_status_is_set(sandbox: Sandbox, customer: Customer) -> None:
    """With its error where it failed; what was read is not delivered again; other words are refused."""
    number = reply(sandbox, customer, "m").json()["id"]
    path = on(customer, f"/messages/{number}")
    answer, told, hears = since(sandbox, customer, "PATCH", path, {"status": "failed", "external_error": "no route"})
    assert (answer.json()["status"], answer.json()["content_attributes"]) == ("failed", {"external_error": "no route"})
    assert (told, hears) == (["message.updated"], ["message.updated"])
    assert acts(sandbox, "PATCH", path, {"status": "read"}).json()["status"] == "read"
    assert since(sandbox, customer, "PATCH", path, {"status": "delivered"})[1:] == ([], [])
    assert acts(sandbox, "PATCH", path, {"status": "lost"}).status == 422


def test_an_agent_opens_a_conversation(sandbox: Sandbox) -> None:
    """By contact and inbox or by a known session, with a first message; the customer hears both."""
    customer = Customer(sandbox)
    assert customer.wire
    body = {"inbox_id": 1, "contact_id": customer.contact["id"], "message": {"content": "about your order"}, "assignee_id": 3}
    made, _, hears = since(sandbox, customer, "POST", "/conversations", body)
    assert hears == ["conversation.created", "message.created", "conversation.updated"]
    assert (made.json()["meta"]["assignee"]["id"], made.json()["status"]) == (3, "open")
    assert customer.wire.events("conversation.created")[-1]["data"]["performer"]["id"] == 2
    known = acts(sandbox, "POST", "/conversations", {"source_id": customer.contact["source_id"], "status": "pending"}).json()
    assert (known["status"], known["inbox_id"]) == ("pending", 1)
    elsewhere = acts(sandbox, "POST", "/conversations", {"inbox_id": 2, "contact_id": customer.contact["id"]}).json()
    assert elsewhere["inbox_id"] == 2
    assert acts(sandbox, "POST", "/conversations", {"inbox_id": 1, "contact_id": 999}).status == 404
    customer.wire.close()


def test_an_agent_who_reopens_takes_it(sandbox: Sandbox, customer: Customer) -> None:
    """By whatever other status it was; an administrator does not."""
    acts(sandbox, "POST", on(customer, "/toggle_status"), {"status": "snoozed", "snoozed_until": 2_000_000_000})
    assert acts(sandbox, "GET", on(customer)).json()["snoozed_until"] == "2033-05-18T03:33:20.000Z"
    acts(sandbox, "POST", on(customer, "/toggle_status"), {}, admin=True)
    assert "assignee" not in acts(sandbox, "GET", on(customer)).json()["meta"]
    acts(sandbox, "POST", on(customer, "/toggle_status"), {"status": "pending"})
    assert acts(sandbox, "POST", on(customer, "/toggle_status"), {}).json()["payload"]["current_status"] == "open"
    assert acts(sandbox, "GET", on(customer)).json()["meta"]["assignee"]["id"] == 2


def test_a_note_mentions_a_colleague(sandbox: Sandbox, customer: Customer) -> None:
    """Who is named hears of it and gets a notification; the customer nothing."""
    named = staff(sandbox, 3)
    heard(sandbox, customer.wire)  # type: ignore[arg-type]
    first = len(customer.wire.events())  # type: ignore[union-attr]
    reply(sandbox, customer, "n", private=True, content="[@Mia](mention://user/4/Mia) look")
    assert heard(sandbox, named) == ["message.created", "conversation.mentioned", "notification.created"]
    assert named.events("notification.created")[0]["data"]["notification"]["notification_type"] == "conversation_mention"
    assert heard(sandbox, customer.wire, first=first) == []  # type: ignore[arg-type]
    named.close()


def test_an_agents_survey_becomes_its_link(sandbox: Sandbox, customer: Customer) -> None:
    """Whatever an agent writes into one, the link takes its place."""
    answer = acts(sandbox, "POST", on(customer, "/messages"), {"content": "how was it?", "content_type": "input_csat"}).json()
    assert answer["content"].startswith("Please rate this conversation, ")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Dear {{contact.name}}, {{ contact.first_name }}: {{agent.name}} of {{inbox.name}}", "Dear Ada B Byron, Ada: Gil Agent of Plain"),
        ("nothing{{ contact.unknown }}.", "nothing."),
        ("kept {{ contact.name }} {% if %}", None),
        ("kept {{ contact.name", None),
        ("kept `{{ contact.name }}`", None),
        ("half `{{ contact.name }}` {{ conversation.id }}", "half `{{ contact.name }}` 1"),
    ],
)
def test_an_agents_words_are_a_template(sandbox: Sandbox, customer: Customer, written: str, said: str | None) -> None:
    """Variables are filled in, names with capitals; what is wrong or between backticks stays, and so does all that a customer writes."""
    ask(sandbox.url, "PATCH", customer.path, {"name": "ada b byron"})
    assert reply(sandbox, customer, "m", content=written).json()["content"] == (said or written)
    assert customer.says(written).json()["content"] == written


def test_reading_tells_of_each_message_in_turn(sandbox: Sandbox, customer: Customer) -> None:
    """Oldest first, private notes and activities to agents alone."""
    for number in range(3):
        reply(sandbox, customer, f"m{number}", private=number == 1)
    agent = staff(sandbox, 2)
    ask(sandbox.url, "POST", customer.messages.replace("/messages", "/update_last_seen"))
    for _ in range(3):
        heard(sandbox, agent)
    assert customer.wire
    customer.wire.settle()
    read = [m["data"]["id"] for m in agent.events("message.updated")]
    assert read == sorted(read)
    assert (len(read), len(customer.wire.events("message.updated"))) == (3, 2)
    assert len(agent.events("conversation.read")) == 1
    agent.close()
