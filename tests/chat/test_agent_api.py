"""The agent's requests besides replies, held against the recorded ones."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from loadkit.chat.agent_api import AgentApi
from loadkit.chat.request import Request
from tests.chat.golden import exchange

API = AgentApi(1)
PLAIN: list[tuple[str, Callable[[], Request]]] = [
    ("agent.conversation.show", lambda: API.show(2)),
    ("agent.message.list", lambda: API.list_messages(2)),
    ("agent.last_seen", lambda: API.see(2)),
    ("agent.typing_on", lambda: API.typing(2, on=True)),
    ("agent.typing_off", lambda: API.typing(2, on=False)),
    ("agent.assign", lambda: API.assign(2, 2)),
    ("agent.resolve", lambda: API.resolve(2)),
]


@pytest.mark.parametrize(("step", "make"), PLAIN, ids=[step for step, _ in PLAIN])
def test_a_request_is_the_recorded_one(step: str, make: Callable[[], Request]) -> None:
    """Method, path and every key of the body."""
    recorded, request = exchange(step)["request"], make()
    assert (request.route.method, request.path) == (recorded["method"], recorded["path"])
    assert (None if request.body is None else json.loads(request.body)) == recorded["body"]


def test_a_note_is_private_and_carries_no_marker() -> None:
    """It is no reply: nothing in it makes anybody look for a delivery."""
    recorded, request = exchange("agent.private_note")["request"], API.note(2, "note")
    assert (request.route.method, request.path) == (recorded["method"], recorded["path"])
    assert json.loads(request.body or b"") == {"content": "note", "private": True, "message_type": "outgoing"}


def test_a_call_names_its_room_and_its_message() -> None:
    """Both are demanded when it begins, the room alone when it ends."""
    begun, ended = API.start_call(2, "a-room", 7), API.end_call(2, "a-room")
    assert (begun.path, ended.path) == ("/api/v1/accounts/1/conversations/2/create_call", "/api/v1/accounts/1/conversations/2/end_call")
    assert json.loads(begun.body or b"") == {"room_id": "a-room", "message_id": 7}
    assert json.loads(ended.body or b"") == {"room_id": "a-room"}
