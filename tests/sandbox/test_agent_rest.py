"""The agent API beyond the recorded walk: credentials, lists and pages, and messages that cannot be saved."""

from __future__ import annotations

from typing import Any

import pytest

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, Reply, Wire, agent_path, ask, reply
from tests.sandbox.conftest import Make
from tests.support import eventually

A = "/api/v1/accounts/1"
MISSING = {"error": "Resource could not be found"}


def by(token: str) -> dict[str, str]:
    return {"Api-Access-Token": token}


def get(sandbox: Sandbox, path: str, token: str | None = None) -> Reply:
    return ask(sandbox.url, "GET", path, headers=by(token or sandbox.agent_tokens[0]))


def test_either_spelling_of_the_token_header_works(sandbox: Sandbox) -> None:
    """The header with underscores is read too."""
    for name in ("api_access_token", "Api-Access-Token"):
        assert ask(sandbox.url, "GET", "/api/v1/profile", headers={name: sandbox.agent_tokens[1]}).json()["id"] == 3


def test_only_administrators_see_hmac_keys(sandbox: Sandbox) -> None:
    """An agent's list of inboxes lacks the key; an agent outside sees no inbox."""
    admin = get(sandbox, A + "/inboxes", sandbox.store.admin.access_token).json()["payload"]
    agent = get(sandbox, A + "/inboxes").json()["payload"]
    assert [row["hmac_token"] for row in admin] == [inbox.hmac_token for inbox in sandbox.store.inboxes]
    assert [row["id"] for row in agent] == [1, 2]
    assert not any("hmac_token" in row for row in agent)


def test_another_account_does_not_exist(sandbox: Sandbox) -> None:
    """Only account 1 is there."""
    answer = get(sandbox, "/api/v1/accounts/2/inboxes")
    assert (answer.status, answer.json()) == (404, MISSING)


def test_messages_are_paged_in_both_directions(sandbox: Sandbox) -> None:
    """Newest twenty, twenty before, a hundred after, or all between two ids; private ones can be left out."""
    customer = Customer(sandbox, connected=False)
    for number in range(130):
        reply(sandbox, customer, f"m{number}", private=number == 0)

    def ids(query: str) -> list[int]:
        return [row["id"] for row in get(sandbox, agent_path(customer) + query).json()["payload"]]

    assert ids("") == list(range(111, 131))
    assert ids("?before=111") == list(range(91, 111))
    assert ids("?after=5") == list(range(6, 106))
    assert ids("?after=5&before=125") == list(range(5, 125))
    assert ids("?before=20&filter_internal_messages=1") == list(range(2, 20))


def test_conversations_are_listed_counted_and_filtered(sandbox: Sandbox) -> None:
    """Twenty-five a page, the latest active first, by status and by assignee."""
    customers = [Customer(sandbox, connected=False) for _ in range(27)]
    customers[0].says("newest activity")
    first = get(sandbox, A + "/conversations").json()["data"]
    assert first["meta"] == {"mine_count": 0, "assigned_count": 0, "unassigned_count": 27, "all_count": 27}
    assert len(first["payload"]) == 25
    assert first["payload"][0]["id"] == customers[0].conversation
    assert len(get(sandbox, A + "/conversations?page=2").json()["data"]["payload"]) == 2
    resolve = f"{A}/conversations/{customers[1].conversation}/toggle_status"
    assert ask(sandbox.url, "POST", resolve, {}, headers=by(sandbox.agent_tokens[0])).json()["payload"]["current_status"] == "resolved"
    assert get(sandbox, A + "/conversations").json()["data"]["meta"]["all_count"] == 26
    assert get(sandbox, A + "/conversations?status=all").json()["data"]["meta"]["all_count"] == 27
    assert get(sandbox, A + "/conversations?assignee_type=me").json()["data"]["payload"] == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"message_type": "zzz"}, "'zzz' is not a valid message_type"),
        ({"content_type": "zzz"}, "'zzz' is not a valid content_type"),
        ({"content_type": "input_select"}, "Validation failed: Content attributes At least one item is required."),
        ({"content": "x" * 150_001}, "Validation failed: Content is too long (maximum is 150000 characters)"),
    ],
)
def test_a_message_that_cannot_be_saved_says_why(sandbox: Sandbox, body: dict[str, Any], error: str) -> None:
    """422 with one text, and nothing is made."""
    customer = Customer(sandbox, connected=False)
    answer = ask(sandbox.url, "POST", agent_path(customer), body, headers=by(sandbox.agent_tokens[0]))
    assert (answer.status, answer.json()) == (422, {"error": error})
    assert sandbox.store.messages == 0


def test_echo_and_source_id_come_back_as_they_were(sandbox: Sandbox, customer: Customer) -> None:
    """A number stays a number; the source id survives into lists, the echo id does not."""
    answer = ask(
        sandbox.url,
        "POST",
        agent_path(customer),
        {"content": "x", "echo_id": 7, "source_id": "s7", "content_attributes": '{"in_reply_to": 1}'},
        headers=by(sandbox.agent_tokens[0]),
    ).json()
    assert (answer["echo_id"], answer["source_id"], answer["content_attributes"]) == (7, "s7", {"in_reply_to": 1})
    assert eventually(customer.hears) == [7]
    listed = get(sandbox, agent_path(customer)).json()["payload"][0]
    assert listed["source_id"] == "s7"
    assert "echo_id" not in listed


def test_a_reply_to_a_waiting_customer_updates_the_conversation(sandbox: Sandbox, customer: Customer) -> None:
    """Two frames where the customer waited, one where not, and the update repeats the message without its echo."""
    assert customer.wire
    for marker in ("first", "second"):
        reply(sandbox, customer, marker)
    customer.wire.settle()
    names = [event["event"] for event in customer.wire.events() if event["event"] != "presence.update"]
    assert names == ["message.created", "conversation.updated", "message.created"]
    updated = customer.wire.events("conversation.updated")[0]["data"]
    assert updated["waiting_since"] == 0
    assert "echo_id" not in updated["messages"][0]


def test_online_agents_are_assigned_in_turn(make: Make) -> None:
    """Conversations go round among members with a fresh presence; nobody online, nobody assigned."""
    sandbox = make(agents=3)
    assert get(sandbox, f"{A}/conversations/{Customer(sandbox, connected=False).conversation}").json()["meta"].get("assignee") is None
    wires = []
    for user in sandbox.store.users[1:3]:
        wires.append(Wire(sandbox.url))
        wires[-1].subscribe(user.pubsub_token, account_id=1, user_id=user.id)
    assigned = []
    for _ in range(4):
        conversation = Customer(sandbox, connected=False).conversation
        assigned.append(get(sandbox, f"{A}/conversations/{conversation}").json()["meta"]["assignee"]["id"])
    assert assigned == [2, 3, 2, 3]
    for wire in wires:
        wire.settle()
        assert len(wire.events("notification.created")) == 2
        assert len(wire.events("assignee.changed")) == 4
        wire.close()


def test_assigning_somebody_else_tells_them(sandbox: Sandbox, customer: Customer) -> None:
    """Everybody hears of the change, the new assignee gets a notification, the customer sees the assignee."""
    second = sandbox.store.users[2]
    wire = Wire(sandbox.url)
    wire.subscribe(second.pubsub_token, account_id=1, user_id=second.id)
    path = f"{A}/conversations/{customer.conversation}/assignments"
    assert ask(sandbox.url, "POST", path, {"assignee_id": 3}, headers=by(sandbox.agent_tokens[0])).json()["id"] == 3
    for each in ("assignee.changed", "conversation.updated", "notification.created", "message.created"):
        eventually(lambda name=each: wire.events(name))  # type: ignore[misc]
    assert customer.wire
    eventually(lambda: customer.wire and customer.wire.events("conversation.updated"))
    assert customer.wire.events("conversation.updated")[0]["data"]["meta"]["assignee"]["id"] == 3
    for nobody, left in (({"team_id": 1}, 3), ({"assignee_id": None}, None)):
        assert ask(sandbox.url, "POST", path, nobody, headers=by(sandbox.agent_tokens[0])).json() is None
        assignee = get(sandbox, path.removesuffix("/assignments")).json()["meta"].get("assignee")
        assert (assignee and assignee["id"]) == left
    wire.close()
