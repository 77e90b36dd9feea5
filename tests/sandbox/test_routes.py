"""The routes that a run, a check or a clean-up may ask for, as one table: each is there, does what it is for, and shows what it must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from loadkit.chat.routes import ROUTES
from loadkit.sandbox import Sandbox
from loadkit.sandbox.store import ACCOUNT
from tests.sandbox.client import Customer, Reply, ask

ACCOUNT_PATH = f"/api/v1/accounts/{ACCOUNT}"
KEYS = {
    "inbox": "identifier identity_validation_enabled name timezone working_hours csat_survey_enabled greeting_enabled",
    "contact": "source_id pubsub_token id name email phone_number",
    "contact row": "id name account_id identifier custom_attributes contact_type blocked label_list created_at",
    "conversation": "id uuid inbox_id contact_last_seen_at status agent_last_seen_at messages contact",
    "message": "id content message_type content_type content_attributes created_at conversation_id sender",
    "survey": "id csat_survey_response display_type content inbox_name locale conversation_id created_at",
    "profile": "access_token account_id available_name email id name pubsub_token role accounts",
    "agent": "id account_id availability_status auto_offline confirmed email available_name name role thumbnail",
    "agent's message": "id content inbox_id conversation_id message_type status created_at private source_id sender",
    "agent's conversation": "meta id messages account_id uuid inbox_id labels muted status unread_count priority",
    "agent's inbox": "id channel_id name channel_type hmac_mandatory webhook_url inbox_identifier enable_auto_assignment",
    "agent's contact": "id name email phone_number blocked identifier contact_inboxes custom_attributes",
    "status": "success conversation_id current_status",
    "counts": "mine_count assigned_count unassigned_count all_count",
    "health": "version timestamp queue_services data_services",
}
"""What must be in an answer; the recorded traffic says it key for key."""


@dataclass(frozen=True)
class Call:
    """A request on a path with places for what there is; `shows` names the keys of its answer, "" an answer without a body.

    `within` are the steps into the answer to what has them, a list standing for its first row.
    """

    method: str
    path: str
    shows: str
    within: tuple[str, ...] = ()
    body: Any = None
    admin: bool = False


ONE = {"content": "hello"}
NEW_INBOX = {"name": "load-1", "channel": {"type": "api"}}
TWO = {"inbox_id": 1, "user_ids": [2, 3]}
RATED = {"message": {"submitted_values": {"csat_survey_response": {"rating": 5}}}}
CLIENT = (
    Call("GET", "B", "inbox"),
    Call("POST", "B/contacts", "contact", body={}),
    Call("GET", "C", "contact"),
    Call("PATCH", "C", "contact row", body={"name": "Mia"}),
    Call("PUT", "C", "contact row", body={"name": "Mia"}),
    Call("GET", "C/conversations", "conversation"),
    Call("POST", "C/conversations", "conversation", body={}),
    Call("GET", "V", "conversation"),
    Call("POST", "V/toggle_status", "conversation"),
    Call("POST", "V/toggle_typing", "", body={"typing_status": "on"}),
    Call("POST", "V/update_last_seen", ""),
    Call("GET", "V/messages", "message"),
    Call("POST", "V/messages", "message", body=ONE),
    Call("PATCH", "V/messages/{message}", "message", body={"submitted_values": [{"name": "a", "value": "b"}]}),
    Call("PUT", "V/messages/{message}", "message", body={"submitted_values": []}),
    Call("GET", "/public/api/v1/csat_survey/{uuid}", "survey"),
    Call("PATCH", "/public/api/v1/csat_survey/{uuid}", "survey", body=RATED),
    Call("PUT", "/public/api/v1/csat_survey/{uuid}", "survey", body=RATED),
)
AGENT = (
    Call("GET", "/api", "health"),
    Call("GET", "/api/v1/profile", "profile"),
    Call("POST", "/api/v1/profile/availability", "profile", body={"profile": {"account_id": 1, "availability": "busy"}}),
    Call("POST", "/api/v1/profile/auto_offline", "profile", body={"profile": {"account_id": 1, "auto_offline": False}}),
    Call("GET", "K/messages", "agent's message", ("payload",)),
    Call("POST", "K/messages", "agent's message", body=ONE),
    Call("PATCH", "K/messages/{message}", "agent's message", body={"status": "delivered"}),
    Call("DELETE", "K/messages/{message}", "agent's message"),
    Call("GET", "A/conversations", "agent's conversation", ("data", "payload")),
    Call("GET", "A/conversations/meta", "counts", ("meta",)),
    Call("GET", "K", "agent's conversation"),
    Call("POST", "A/conversations", "agent's conversation", body={"inbox_id": 1, "contact_id": 1}),
    Call("POST", "K/toggle_status", "status", ("payload",), body={"status": "pending"}),
    Call("POST", "K/assignments", "agent", body={"assignee_id": 3}),
    Call("POST", "K/toggle_typing_status", "", body={"typing_status": "on"}),
    Call("POST", "K/update_last_seen", "agent's conversation"),
    Call("POST", "K/toggle_priority", "", body={"priority": "high"}),
    Call("POST", "K/mute", ""),
    Call("POST", "K/unmute", ""),
    Call("GET", "A/inboxes", "agent's inbox", ("payload",)),
    Call("GET", "A/inboxes/1", "agent's inbox"),
    Call("POST", "A/inboxes", "agent's inbox", body=NEW_INBOX, admin=True),
    Call("PATCH", "A/inboxes/1", "agent's inbox", body={"greeting_enabled": True}, admin=True),
    Call("GET", "A/inbox_members/1", "agent", ("payload",)),
    Call("POST", "A/inbox_members", "agent", ("payload",), body=TWO, admin=True),
    Call("PATCH", "A/inbox_members", "agent", ("payload",), body=TWO, admin=True),
    Call("DELETE", "A/inbox_members", "", body=TWO, admin=True),
    Call("GET", "A/agents", "agent"),
    Call("POST", "A/agents", "agent", body={"name": "New", "email": "new@example.test"}, admin=True),
    Call("GET", "A/contacts", "agent's contact", ("payload",)),
    Call("GET", "A/contacts/search?q=known", "agent's contact", ("payload",)),
    Call("GET", "A/contacts/1", "agent's contact", ("payload",)),
    Call("GET", "A/contacts/1/conversations", "agent's conversation", ("payload",)),
    Call("POST", "A/contacts", "agent's contact", ("payload", "contact"), body={"name": "Mia"}),
    Call("DELETE", "A/contacts/1", "", admin=True),
    Call("DELETE", "A/inboxes/2", "", ("message",), admin=True),
)


@dataclass(frozen=True)
class Place:
    """What the paths of a table name: a customer with a conversation, a reply with a form in it, and a survey."""

    sandbox: Sandbox
    customer: Customer
    message: int
    uuid: str

    def ask(self, call: Call, token: str | None) -> Reply:
        at = {
            "A/": ACCOUNT_PATH + "/",
            "B": f"/public/api/v1/inboxes/{self.sandbox.inbox}",
            "C": self.customer.path,
            "K": f"{ACCOUNT_PATH}/conversations/{self.customer.conversation}",
            "V": f"{self.customer.path}/conversations/{self.customer.conversation}",
        }
        path = call.path.format(message=self.message, uuid=self.uuid)
        begins = next((word for word in at if path.startswith(word)), "")
        headers = {"Api-Access-Token": token} if token else {}
        return ask(self.sandbox.url, call.method, at.get(begins, "") + path.removeprefix(begins), call.body, headers=headers)


@pytest.fixture
def place(sandbox: Sandbox) -> Place:
    customer = Customer(sandbox, connected=False)
    ask(sandbox.url, "PATCH", customer.path, {"name": "known", "email": "known@example.test"})
    made = Place(sandbox, customer, 0, sandbox.store.conversations[customer.conversation].uuid)
    asked = {"content": "how was it?", "content_type": "input_csat"}
    message = made.ask(Call("POST", "K/messages", "", body=asked), sandbox.agent_tokens[0]).json()["id"]
    return Place(sandbox, customer, message, made.uuid)


@pytest.mark.parametrize("call", [*CLIENT, *AGENT], ids=lambda call: f"{call.method} {call.path}")
def test_a_route_answers_with_what_it_is_for(place: Place, call: Call) -> None:
    """200 with the keys that its reader needs, or with zero bytes where there is nothing to say."""
    tokens = place.sandbox.store.admin.access_token if call.admin else place.sandbox.agent_tokens[0]
    answer = place.ask(call, None if call in CLIENT else tokens)
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "application/json")
    if not call.shows and not call.within:
        assert (answer.body, answer.headers["content-length"], answer.headers["cache-control"]) == (b"", "0", "no-cache")
        return
    shown = answer.json()
    for step in call.within:
        shown = shown[step]
    if call.shows:
        shown = shown[0] if isinstance(shown, list) else shown
        assert set(KEYS[call.shows].split()) <= shown.keys()


@pytest.mark.parametrize("call", [call for call in AGENT if call.path != "/api"], ids=lambda call: f"{call.method} {call.path}")
def test_the_agent_api_wants_to_know_who_asks(place: Place, call: Call) -> None:
    """Nobody and a token that is nobody's are a 401, each in words of its own, and nothing is done."""
    before = ask(place.sandbox.control, "GET", "/state").json()
    for token, said in ((None, "errors"), ("wrong", "error")):
        answer = place.ask(call, token)
        assert (answer.status, list(answer.json())) == (401, [said])
    after = ask(place.sandbox.control, "GET", "/state").json()
    assert {key: after[key] for key in ("contacts", "conversations", "messages")} == {
        key: before[key] for key in ("contacts", "conversations", "messages")
    }


def test_every_call_that_loadkit_makes_is_served(place: Place) -> None:
    """Asked for nothing in particular each is done, or says what it lacks; only a survey's answer without its wrapper breaks."""
    fills = {"inbox": place.sandbox.inbox, "source_id": place.customer.contact["source_id"], "account": ACCOUNT}
    fills |= {"conversation": place.customer.conversation, "message": place.message, "uuid": place.uuid}
    headers = {"Api-Access-Token": place.sandbox.agent_tokens[0]}
    for route in ROUTES:
        answer = ask(place.sandbox.url, route.method, route.path(**fills), None if route.method == "GET" else {}, headers=headers)
        assert answer.status in ({500} if route.name == "csat.update" else {200, 422}), route.name
