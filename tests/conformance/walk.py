"""The scripted walk: what is asked of a server, step by step, under the names that the recordings of a real one use.

Beyond those, where the configuration names them, it walks through an inbox locked to one conversation and one that greets and surveys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.conformance.replay import multipart

if TYPE_CHECKING:
    from tests.conformance.record import Line, Recorder

Config = dict[str, Any]


def proof(key: str, identifier: str) -> str:
    return hmac.new(key.encode(), identifier.encode(), hashlib.sha256).hexdigest()


def room(**params: Any) -> str:
    return json.dumps({"channel": "RoomChannel", **params}, separators=(",", ":"))


@dataclass
class Walker:
    """What later steps need of earlier ones."""

    recorder: Recorder
    config: Config
    user: dict[str, Any]
    contact: dict[str, Any]
    conversation: dict[str, Any]

    def does(self, step: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Take a step that is one request."""
        self.recorder.step(step)
        return self.recorder.call(method, path, body, **more)

    def acts(self, step: str, method: str, tail: str, body: Any = None, *, who: str = "agent_token") -> Any:
        """Take a step that is a user's request in the account."""
        path = f"/api/v1/accounts/{self.config['account_id']}{tail}"
        return self.does(step, method, path, body, headers={"Api-Access-Token": self.config[who]})

    def inbox(self, name: str = "inbox") -> str:
        return f"/public/api/v1/inboxes/{self.config[name]['identifier']}"

    @property
    def session(self) -> str:
        return f"{self.inbox()}/contacts/{self.contact['source_id']}"

    @property
    def here(self) -> str:
        return f"{self.session}/conversations/{self.conversation['id']}"

    @property
    def desk(self) -> str:
        return f"/conversations/{self.conversation['id']}"


def walk(recorder: Recorder, config: Config) -> None:
    """Take every step."""
    walker = Walker(recorder, config, {}, {}, {})
    read(walker)
    recorder.step("agent.cable.connect")
    agent = recorder.open("agent")
    recorder.step("agent.cable.subscribe")
    who = room(pubsub_token=walker.user["pubsub_token"], account_id=config["account_id"], user_id=walker.user["id"])
    agent.say({"command": "subscribe", "identifier": who})
    make_contacts(walker)
    prove(walker)
    change_contact(walker)
    customer = connect(walker)
    converse(walker)
    change_state(walker)
    look(walker)
    misuse(walker, customer)
    if "lock_inbox" in config:
        keep_to_one(walker)
    if "greeting_inbox" in config:
        be_greeted(walker)
    recorder.step("burst.replies")
    for number in range(20):
        body, headers = {"content": f"burst {number}", "echo_id": f"lk-b-{number}"}, {"Api-Access-Token": config["agent_token"]}
        recorder.call("POST", f"/api/v1/accounts/{config['account_id']}{walker.desk}/messages", body, headers=headers)


def read(walker: Walker) -> None:
    walker.does("health", "GET", "/api")
    walker.does("inbox.show", "GET", walker.inbox())
    walker.does("inbox.show.unknown", "GET", "/public/api/v1/inboxes/nope")
    token = walker.config["agent_token"]
    for _ in range(2):
        walker.user = walker.does("agent.profile", "GET", "/api/v1/profile", headers={"Api-Access-Token": token})
    walker.does("agent.profile.bad_token", "GET", "/api/v1/profile", headers={"Api-Access-Token": "wrong"})
    walker.does("agent.profile.no_token", "GET", "/api/v1/profile")
    walker.acts("agent.inboxes.admin", "GET", "/inboxes", who="admin_token")
    walker.acts("agent.inboxes.agent", "GET", "/inboxes")
    walker.acts("agent.agents", "GET", "/agents", who="admin_token")


def make_contacts(walker: Walker) -> None:
    path = walker.inbox() + "/contacts"
    walker.does("contact.create.empty", "POST", path, {})
    named = {"name": "Ada Example", "custom_attributes": {"plan": "gold"}}
    walker.contact = walker.does("contact.create.named", "POST", path, named)
    walker.does("contact.create.same_source_id", "POST", path, {"source_id": walker.contact["source_id"], "name": "ignored"})
    walker.does("contact.create.empty_source_id", "POST", path, {"source_id": ""})
    walker.does("contact.create.bad_email", "POST", path, {"email": "not-an-email"})
    walker.does("contact.create.bad_phone", "POST", path, {"phone_number": "12"})
    who = "user-" + uuid.uuid4().hex[:8]
    walker.does("contact.create.identifier", "POST", path, {"identifier": who, "name": "With id"})
    walker.does("contact.create.identifier_again", "POST", path, {"identifier": who, "name": "Again"})
    right = proof(walker.config["inbox"]["hmac_token"], who)
    walker.does("contact.create.hmac_ok", "POST", path, {"identifier": who, "identifier_hash": right})
    walker.does("contact.create.hmac_wrong", "POST", path, {"identifier": who, "identifier_hash": "0" * 64})


def prove(walker: Walker) -> None:
    path = walker.inbox("hmac_inbox") + "/contacts"
    who = f"user-{uuid.uuid4().hex[:8]}h"
    right = proof(walker.config["hmac_inbox"]["hmac_token"], who)
    walker.does("hmac.create.missing", "POST", path, {"name": "no hash"})
    made = walker.does("hmac.create.ok", "POST", path, {"identifier": who, "identifier_hash": right})
    session = f"{path}/{made['source_id']}"
    walker.does("hmac.show.missing", "GET", session)
    walker.does("hmac.show.ok", "GET", f"{session}?identifier={who}&identifier_hash={right}")
    walker.does("hmac.conversation.create", "POST", session + "/conversations", {})
    walker.does("hmac.conversation.list", "GET", session + "/conversations")


def change_contact(walker: Walker) -> None:
    path, broken = walker.inbox() + "/contacts", b'{"name": '
    walker.does("contact.create.invalid_json", "POST", path, raw=broken)
    walker.does("contact.create.invalid_json.accept", "POST", path, raw=broken, headers={"Accept": "application/json"})
    walker.does("contact.show", "GET", walker.session)
    walker.does("contact.show.unknown", "GET", path + "/unknown")
    walker.does("contact.update", "PATCH", walker.session, {"name": "Ada Renamed", "custom_attributes": {"tier": 2}})
    walker.does("contact.update.bad_email", "PATCH", walker.session, {"email": "bad"})


def connect(walker: Walker) -> Line:
    recorder, identifier = walker.recorder, room(pubsub_token=walker.contact["pubsub_token"])
    recorder.step("customer.cable.connect")
    customer = recorder.open("customer")
    recorder.step("customer.cable.subscribe")
    customer.say({"command": "subscribe", "identifier": identifier})
    recorder.step("customer.cable.presence")
    customer.say({"command": "message", "identifier": identifier, "data": json.dumps({"action": "update_presence"})})
    return customer


def converse(walker: Walker) -> None:
    walker.does("conversation.list.empty", "GET", walker.session + "/conversations")
    attributes = {"custom_attributes": {"source": "golden"}}
    walker.conversation = walker.does("conversation.create", "POST", walker.session + "/conversations", attributes)
    messages, desk = walker.here + "/messages", walker.desk + "/messages"
    walker.does("conversation.show", "GET", walker.here)
    walker.does("conversation.show.unknown", "GET", walker.session + "/conversations/999999")
    walker.does("message.create.first", "POST", messages, {"content": "Where is my order?", "echo_id": "lk-c-1"})
    walker.acts("agent.reply.first", "POST", desk, {"content": "On its way.", "echo_id": "lk-a-1", "source_id": "lk-a-1"})
    thanks = {"content": "Thanks <b>& more</b> \u2028 😀", "echo_id": "lk-c-2"}
    walker.does("message.create.after_reply", "POST", messages, thanks)
    walker.acts("agent.reply.second", "POST", desk, {"content": "Anything else?", "echo_id": "lk-a-2"})
    walker.acts("agent.private_note", "POST", desk, {"content": "note", "private": True, "echo_id": "lk-a-3"})
    items = {"items": [{"title": "A", "value": "a"}, {"title": "B", "value": "b"}]}
    choice = {"content": "pick one", "content_type": "input_select", "content_attributes": items, "echo_id": "lk-a-4"}
    walker.acts("agent.input_select", "POST", desk, choice)
    listed = walker.does("message.list", "GET", messages)
    chosen = {"submitted_values": [{"title": "A", "value": "a"}]}
    number = next(each["id"] for each in reversed(listed) if each["content_type"] == "input_select")
    walker.does("message.update.submitted_values", "PATCH", f"{messages}/{number}", chosen)
    walker.does("message.list.before", "GET", f"{messages}?before={listed[-1]['id']}")
    walker.does("message.create.empty", "POST", messages, {})
    walker.does("message.create.too_long", "POST", messages, {"content": "x" * 150_001})
    boundary = uuid.uuid4().hex
    form = f"multipart/form-data; boundary={boundary}"
    walker.does("message.create.attachment", "POST", messages, raw=multipart(boundary), kind=form)


def change_state(walker: Walker) -> None:
    for way in ("on", "off"):
        walker.does(f"customer.typing_{way}", "POST", walker.here + "/toggle_typing", {"typing_status": way})
    for way in ("on", "off"):
        walker.acts(f"agent.typing_{way}", "POST", walker.desk + "/toggle_typing_status", {"typing_status": way})
    walker.does("customer.last_seen", "POST", walker.here + "/update_last_seen", {})
    walker.acts("agent.last_seen", "POST", walker.desk + "/update_last_seen", {})
    walker.acts("agent.assign", "POST", walker.desk + "/assignments", {"assignee_id": walker.user["id"]})
    walker.acts("agent.resolve", "POST", walker.desk + "/toggle_status", {"status": "resolved"})
    walker.does("message.reopens", "POST", walker.here + "/messages", {"content": "reopen please", "echo_id": "lk-c-9"})
    walker.does("customer.resolve", "POST", walker.here + "/toggle_status", {})


def look(walker: Walker) -> None:
    messages = walker.desk + "/messages"
    walker.acts("agent.message.list", "GET", messages)
    walker.acts("agent.conversation.list", "GET", "/conversations?status=all")
    walker.acts("agent.conversation.show", "GET", walker.desk)
    walker.acts("agent.reply.not_member", "POST", messages, {"content": "x"}, who="agent2_token")
    walker.acts("agent.reply.unknown_conversation", "POST", "/conversations/999999/messages", {"content": "x"})
    walker.acts("agent.reply.liquid", "POST", messages, {"content": "{{ contact.name }} {% if %}"})
    walker.does("csat.show", "GET", f"/public/api/v1/csat_survey/{walker.conversation['uuid']}")


def misuse(walker: Walker, customer: Line) -> None:
    recorder, token = walker.recorder, walker.contact["pubsub_token"]
    identifier, respelled = room(pubsub_token=token), json.dumps({"pubsub_token": token, "channel": "RoomChannel"}, separators=(",", ":"))
    for name, command in (
        ("not_json", "not json"),
        ("unknown_command", {"command": "zzz", "identifier": identifier}),
        ("unknown_channel", {"command": "subscribe", "identifier": '{"channel":"NopeChannel"}'}),
        ("duplicate_subscribe", {"command": "subscribe", "identifier": identifier}),
        ("unknown_action", {"command": "message", "identifier": identifier, "data": '{"action":"nope"}'}),
    ):
        recorder.step(f"cable.misuse.{name}")
        customer.say(command)
    recorder.step("cable.bad_token")
    bad = recorder.open("bad")
    bad.say({"command": "subscribe", "identifier": room(pubsub_token="wrong-token-wrong-token1")})
    recorder.step("cable.no_subprotocol")
    recorder.open("noproto", ())
    recorder.step("cable.respelled")
    customer.say({"command": "subscribe", "identifier": respelled})
    walker.acts("cable.respelled.reply", "POST", walker.desk + "/messages", {"content": "twice?", "echo_id": "lk-a-5"})
    recorder.step("cable.unsubscribe")
    customer.say({"command": "unsubscribe", "identifier": respelled})
    walker.acts("cable.unsubscribe.reply", "POST", walker.desk + "/messages", {"content": "once again", "echo_id": "lk-a-6"})


def keep_to_one(walker: Walker) -> None:
    path = walker.inbox("lock_inbox") + "/contacts"
    session = f"{path}/{walker.does('lock.contact.create', 'POST', path, {'name': 'Lone'})['source_id']}/conversations"
    first = walker.does("lock.conversation.create", "POST", session, {})
    walker.does("lock.conversation.create_again", "POST", session, {})
    walker.does("lock.resolve", "POST", f"{session}/{first['id']}/toggle_status", {})
    walker.does("lock.conversation.create_resolved", "POST", session, {})


def be_greeted(walker: Walker) -> None:
    path = walker.inbox("greeting_inbox") + "/contacts"
    session = f"{path}/{walker.does('greeting.contact.create', 'POST', path, {'name': 'Newcomer'})['source_id']}/conversations"
    made = walker.does("greeting.conversation.create", "POST", session, {})
    survey, here = f"/public/api/v1/csat_survey/{made['uuid']}", f"{session}/{made['id']}"
    walker.does("greeting.message.first", "POST", here + "/messages", {"content": "hello", "echo_id": "lk-g-1"})
    walker.does("greeting.message.second", "POST", here + "/messages", {"content": "anybody?", "echo_id": "lk-g-2"})
    walker.does("csat.resolve", "POST", here + "/toggle_status", {})
    walker.does("csat.message.list", "GET", here + "/messages")
    walker.does("csat.show.asked", "GET", survey)
    answer = {"message": {"submitted_values": {"csat_survey_response": {"rating": 4, "feedback_message": "fine"}}}}
    walker.does("csat.update", "PATCH", survey, answer)
    walker.does("csat.show.answered", "GET", survey)
