"""Answers of a real OneHash Chat, decoded: what is used is required, the rest ignored."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.chat import models
from loadkit.errors import RemoteProtocolError
from tests.chat.golden import INBOX, MANDATORY, body

DEEP = b"[" * 200_000 + b"]" * 200_000
RECORDED = [
    ("inbox.show", models.Inbox),
    ("contact.create.empty", models.Contact),
    ("contact.create.hmac_ok", models.Contact),
    ("contact.show", models.Contact),
    ("conversation.create", models.Conversation),
    ("conversation.show", models.Conversation),
    ("customer.resolve", models.Conversation),
    ("message.update.submitted_values", models.Message),
    ("agent.last_seen", models.AgentConversation),
    ("agent.conversation.show", models.AgentConversation),
    ("agent.private_note", models.AgentMessage),
    ("message.create.first", models.Message),
    ("message.create.empty", models.Message),
    ("message.create.attachment", models.Message),
    ("agent.profile", models.Profile),
    ("agent.reply.first", models.AgentMessage),
    ("agent.input_select", models.AgentMessage),
    ("agent.reply.liquid", models.AgentMessage),
]


@pytest.mark.parametrize(("step", "shape"), RECORDED, ids=[step for step, _ in RECORDED])
def test_recorded_objects(step: str, shape: Any) -> None:
    """Every field that we use holds what the server said; its other keys are ignored."""
    said = json.loads(body(step))
    value = models.decode(body(step), shape, step)
    assert msgspec.to_builtins(value).items() >= {
        (key, said[key]) for key in said if key in ("id", "source_id", "pubsub_token", "identifier")
    }


def test_the_recorded_change_of_a_contact() -> None:
    """It is answered by the row, which has no session and no secret."""
    said = json.loads(body("contact.update"))
    row = models.decode(body("contact.update"), models.ContactRow, "it")
    assert (row.id, row.name) == (said["id"], said["name"])
    assert "pubsub_token" not in said


def test_the_recorded_conversation_tells_its_uuid() -> None:
    """By it the survey is found."""
    assert models.decode(body("conversation.show"), models.Conversation, "it").uuid == json.loads(body("conversation.show"))["uuid"]


def test_the_recorded_conversation_list_and_the_change_of_a_status() -> None:
    """What an agent is shown of them."""
    said = json.loads(body("agent.conversation.list"))["data"]["payload"]
    page = models.decode(body("agent.conversation.list"), models.AgentConversations, "it").data.payload
    assert [(one.id, one.status) for one in page] == [(one["id"], one["status"]) for one in said]
    assert models.decode(body("agent.resolve"), models.StatusChange, "it").payload.current_status == "resolved"


@pytest.mark.parametrize("step", ["message.list", "message.list.before"])
def test_recorded_message_lists(step: str) -> None:
    """The Client API's page is a plain list, oldest first."""
    said = json.loads(body(step))
    page = models.decode(body(step), list[models.Message], step)
    assert [(m.id, m.content, m.message_type) for m in page] == [(m["id"], m["content"], m["message_type"]) for m in said]


def test_the_recorded_agents_message_list() -> None:
    """It tells which message id a `source_id` became."""
    said = json.loads(body("agent.message.list"))["payload"]
    page = models.decode(body("agent.message.list"), models.AgentMessages, "it").payload
    assert [(m.id, m.source_id) for m in page] == [(m["id"], m.get("source_id")) for m in said]
    assert "lk-a-1" in {m.source_id for m in page}


@pytest.mark.parametrize("step", ["agent.inboxes.admin", "agent.inboxes.agent"])
def test_the_recorded_inbox_lists(step: str) -> None:
    """An administrator and an agent are shown the same identifiers."""
    payload = models.decode(body(step), models.AgentInboxes, step).payload
    assert [one.inbox_identifier for one in payload] == [INBOX, MANDATORY]


@pytest.mark.parametrize(
    ("step", "shape", "key"),
    [
        ("inbox.show", models.Inbox, "identifier"),
        *(("contact.show", models.Contact, key) for key in ("id", "source_id", "pubsub_token")),
        ("conversation.create", models.Conversation, "id"),
        ("message.create.first", models.Message, "id"),
        *(("agent.profile", models.Profile, key) for key in ("id", "pubsub_token")),
        ("agent.reply.first", models.AgentMessage, "id"),
        ("agent.message.list", models.AgentMessages, "payload"),
    ],
)
@pytest.mark.parametrize("instead", ["missing", None, {}, True])
def test_a_key_that_is_used_must_be_there_and_of_its_type(step: str, shape: Any, key: str, instead: object) -> None:
    """Else the answer is of the wrong shape; the sentence says where, and which key."""
    said = json.loads(body(step))
    said.pop(key)
    if instead != "missing":
        said[key] = instead
    with pytest.raises(RemoteProtocolError, match=key) as caught:
        models.decode(json.dumps(said).encode(), shape, "the answer")
    assert caught.value.kind == "wrong_shape"


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "not_json", "'<!DOCTYPE html>"),
        (b"Retry later\n", "not_json", "'Retry later'"),
        (b"", "not_json", "an empty body"),
        (b" \r\n", "not_json", "an empty body"),
        (b"\xff\xfe\x00", "not_json", "no JSON"),
        (b'{"id": 1', "not_json", "8 bytes that only begin like it"),
        (b'{"id": 1} trailing', "not_json", "18 bytes"),
        (b"null", "wrong_shape", "`null`"),
        (b"[]", "wrong_shape", "`array`"),
        (b'{"id": 1e400}', "wrong_shape", "out of range"),
        (b'{"id": 1' + b"0" * 5000 + b"}", "wrong_shape", "out of range"),
        (b'{"more": ' + DEEP + b"}", "wrong_shape", "nested too deeply"),
    ],
    ids=["a page", "text", "nothing", "blank", "bytes", "cut", "trailing", "null", "a list", "infinite", "huge", "deep"],
)
def test_what_is_no_such_answer_has_a_name(content: bytes, kind: str, says: str) -> None:
    """Whatever a proxy or another program answers is named in one short sentence."""
    with pytest.raises(RemoteProtocolError) as caught:
        models.decode(content, models.Conversation, "the answer")
    assert caught.value.kind == kind
    assert says in str(caught.value)
    assert len(str(caught.value)) < 150


@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode)
    )
)
def test_any_other_body_is_named(content: bytes) -> None:
    """Nothing but a RemoteProtocolError comes out, whatever came in."""
    with pytest.raises(RemoteProtocolError) as caught:
        models.decode(content, models.Contact, "x")
    assert caught.value.kind in ("not_json", "wrong_shape")


@pytest.mark.parametrize(("step", "shape"), [("agent.profile", models.Profile), ("contact.show", models.Contact)])
def test_secrets_stay_out_of_what_is_printed(step: str, shape: Any) -> None:
    """Neither the value nor the sentence about a broken answer shows a token, wherever the answer breaks."""
    said = json.loads(body(step))
    secrets = [said[key] for key in ("pubsub_token", "access_token") if key in said]
    printed = [repr(models.decode(body(step), shape, step))]
    packed = json.dumps(said, separators=(",", ":")).encode()
    broken = [packed[:-1], packed + b"}", b"\xef\xbb\xbf" + packed, b")]}',\n" + packed, packed.replace(b'"id":', b'"no":')]
    for content in broken:
        with pytest.raises(RemoteProtocolError) as caught:
            models.decode(content, shape, step)
        printed.append(str(caught.value))
    assert [text for text in printed if any(secret in text for secret in secrets)] == []
