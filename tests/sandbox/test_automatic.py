"""What an inbox does by itself where it is set so: greet, excuse itself, ask how it was, and keep to one conversation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from loadkit.sandbox import Sandbox
from loadkit.sandbox.settings import InboxSettings
from tests.sandbox.client import Customer, acts, ask, heard, reply, staff
from tests.support import eventually

RATED = {"rating": 4, "feedback_message": "fine"}
NEVER = [{"day_of_week": day, "closed_all_day": True} for day in range(7)]


def settle_on(sandbox: Sandbox, **settings: Any) -> None:
    sandbox.store.plain.settings = replace(sandbox.store.plain.settings, **settings)


def resolve(sandbox: Sandbox, customer: Customer) -> None:
    acts(sandbox, "POST", f"/conversations/{customer.conversation}/toggle_status", {"status": "resolved"})


def survey(sandbox: Sandbox, customer: Customer) -> str:
    return f"/public/api/v1/csat_survey/{sandbox.store.conversations[customer.conversation].uuid}"


def test_a_greeting_answers_the_first_message_alone(sandbox: Sandbox) -> None:
    """Type 3 without a sender, after the customer's own message on both sides, in the POST's time; never twice."""
    settle_on(sandbox, greeting_enabled=True, greeting_message="Welcome!")
    agent, customer = staff(sandbox), Customer(sandbox)
    assert customer.wire
    customer.says("hi")
    assert [m["content"] for m in ask(sandbox.url, "GET", customer.messages).json()] == ["hi", "Welcome!"]
    customer.says("still there?")
    heard(sandbox, agent)
    greeting = eventually(lambda: [m["data"] for m in customer.wire.events("message.created") if m["data"]["message_type"] == 3])  # type: ignore[union-attr]
    assert [(g["content"], g["sender_type"], g["sender_id"], "sender" in g) for g in greeting] == [("Welcome!", None, None, False)]
    assert [m["data"]["content"] for m in agent.events("message.created")] == ["hi", "Welcome!", "still there?"]
    for wire in (agent, customer.wire):
        wire.close()


def test_nobody_greets_who_has_been_answered(sandbox: Sandbox) -> None:
    """An agent who spoke first takes the greeting's place."""
    settle_on(sandbox, greeting_enabled=True, greeting_message="Welcome!")
    customer = Customer(sandbox, connected=False)
    reply(sandbox, customer, "a")
    customer.says("hi")
    assert len(ask(sandbox.url, "GET", customer.messages).json()) == 2


def test_a_closed_inbox_says_so_once_a_day(sandbox: Sandbox) -> None:
    """Outside working hours the first message is answered, the next is not, and not where an agent has just spoken."""
    settings = replace(sandbox.store.plain.settings, working_hours_enabled=True, out_of_office_message="Back tomorrow.")
    sandbox.store.plain.settings = settings.with_hours(NEVER)
    customer, answered = (Customer(sandbox, connected=False) for _ in range(2))
    reply(sandbox, answered, "a")
    for each in (customer, answered):
        each.says("one")
        each.says("two")
    assert [m["content"] for m in ask(sandbox.url, "GET", customer.messages).json()] == ["one", "Back tomorrow.", "two"]
    assert len(ask(sandbox.url, "GET", answered.messages).json()) == 3


@pytest.mark.parametrize(
    ("moment", "zone", "closed"),
    [
        (datetime(2026, 11, 23, 9, 0, tzinfo=UTC), "UTC", False),
        (datetime(2026, 11, 23, 8, 59, tzinfo=UTC), "UTC", True),
        (datetime(2026, 11, 23, 17, 0, tzinfo=UTC), "UTC", True),
        (datetime(2026, 11, 23, 8, 59, tzinfo=UTC), "Europe/Berlin", False),
        (datetime(2026, 11, 22, 12, 0, tzinfo=UTC), "UTC", True),
        (datetime(2026, 11, 23, 12, 0, tzinfo=UTC), "Nowhere/At all", False),
    ],
)
def test_hours_are_those_of_the_inboxes_zone(moment: datetime, zone: str, closed: bool) -> None:
    """Nine to five on weekdays, by the clock of the place; an inbox without hours never closes."""
    settings = InboxSettings(working_hours_enabled=True, timezone=zone)
    assert settings.closed_at(moment) == closed
    assert not InboxSettings(timezone=zone).closed_at(moment)
    always = [{"day_of_week": day, "closed_all_day": False, "open_all_day": True} for day in range(7)]
    assert not settings.with_hours([*always, None, {}]).closed_at(moment)


def test_the_end_of_a_conversation_brings_a_survey(sandbox: Sandbox) -> None:
    """By whichever side; the customer gets its link, once; the activity stays with the agents."""
    settle_on(sandbox, csat_survey_enabled=True)
    agent, customer = staff(sandbox), Customer(sandbox)
    assert customer.wire
    resolve(sandbox, customer)
    heard(sandbox, agent)
    assert heard(sandbox, customer.wire)[-3:] == ["conversation.status_changed", "conversation.updated", "message.created"]
    asked = customer.wire.events("message.created")[-1]["data"]
    assert (asked["content_type"], asked["message_type"], asked["content_attributes"]) == ("input_csat", 3, {"display_type": "emoji"})
    assert asked["content"].startswith("Please rate this conversation, http")
    assert [m["data"]["message_type"] for m in agent.events("message.created")] == [2, 3]
    customer.says("one more thing")
    ask(sandbox.url, "POST", customer.messages.replace("/messages", "/toggle_status"), {})
    heard(sandbox, customer.wire)
    assert [m["content_type"] for m in ask(sandbox.url, "GET", customer.messages).json()] == ["input_csat", "text"]
    for wire in (agent, customer.wire):
        wire.close()


def test_a_survey_is_shown_and_answered_by_its_uuid(sandbox: Sandbox) -> None:
    """Null at first, also in the answer that fills it; then the row; a body without its wrapper breaks; nothing without a survey."""
    settle_on(sandbox, csat_survey_enabled=True)
    customer = Customer(sandbox, connected=False)
    path = survey(sandbox, customer)
    assert ask(sandbox.url, "GET", path).json() == {"status": 404, "error": "Not Found"}
    resolve(sandbox, customer)
    shown = eventually(lambda: a.json() if (a := ask(sandbox.url, "GET", path)).status == 200 else None)
    assert list(shown) == [
        *("id", "csat_survey_response", "display_type", "content", "inbox_avatar_url", "inbox_name", "locale", "conversation_id"),
        "created_at",
    ]
    assert (shown["csat_survey_response"], shown["content"], shown["display_type"]) == (None, None, "emoji")
    assert ask(sandbox.url, "PATCH", path, {}).status == 500
    body = {"message": {"submitted_values": {"csat_survey_response": RATED | {"other": 1}}}}
    assert ask(sandbox.url, "PUT", path, body).status == 200
    row = eventually(lambda: ask(sandbox.url, "GET", path).json()["csat_survey_response"])
    assert {key: row[key] for key in RATED} == RATED
    assert row["message_id"] == shown["id"]


def test_a_survey_is_answered_through_its_message_too(sandbox: Sandbox) -> None:
    """The message's own route takes the same answer and tells of the update; after fourteen days neither does."""
    settle_on(sandbox, csat_survey_enabled=True)
    customer = Customer(sandbox)
    assert customer.wire
    resolve(sandbox, customer)
    message = eventually(lambda: ask(sandbox.url, "GET", customer.messages).json())[0]
    path = f"{customer.messages}/{message['id']}"
    values = {"submitted_values": {"csat_survey_response": RATED}}
    assert ask(sandbox.url, "PATCH", path, values).json()["content_attributes"] == {"display_type": "emoji", **values}
    assert "message.updated" in heard(sandbox, customer.wire)
    assert ask(sandbox.url, "GET", survey(sandbox, customer)).json()["csat_survey_response"]["rating"] == 4
    sandbox.store.conversations[customer.conversation].messages[-1].created_at -= 15 * 86_400_000_000
    for method, late, body in (("PATCH", path, values), ("PATCH", survey(sandbox, customer), {"message": values})):
        answer = ask(sandbox.url, method, late, body)
        assert (answer.status, answer.json()) == (422, {"error": "You cannot update the CSAT survey after 14 days"})
    customer.wire.close()


def test_an_inbox_locked_to_one_conversation_returns_it(sandbox: Sandbox) -> None:
    """Also when it is resolved, and without a second `conversation.created`; another session gets its own."""
    settle_on(sandbox, lock_to_single_conversation=True)
    customer = Customer(sandbox)
    assert customer.wire
    resolve(sandbox, customer)
    again = ask(sandbox.url, "POST", customer.path + "/conversations", {}).json()
    assert (again["id"], again["status"]) == (customer.conversation, "resolved")
    assert "conversation.created" not in heard(sandbox, customer.wire)
    assert Customer(sandbox, connected=False).conversation != customer.conversation
    customer.wire.close()


def test_an_inbox_may_assign_nobody(sandbox: Sandbox) -> None:
    """With automatic assignment off a present agent is not given anything."""
    settle_on(sandbox, enable_auto_assignment=False)
    agent = staff(sandbox)
    assert sandbox.store.conversations[Customer(sandbox, connected=False).conversation].assignee is None
    assert heard(sandbox, agent) == ["contact.created", "conversation.created"]
    agent.close()
