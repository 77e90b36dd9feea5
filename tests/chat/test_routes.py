"""Paths, held against the recorded ones."""

from __future__ import annotations

import pytest

from loadkit.chat import routes
from loadkit.chat.routes import ROUTES, Route
from tests.chat.golden import INBOX, exchange

SOURCE = "ee3e108d-9c6a-477b-8f7a-246d0f669f61"
UUID = "e9216e98-8a39-4f90-92bd-d2b1bc927ba5"
RECORDED = [
    ("inbox.show", routes.INBOX_SHOW),
    ("contact.create.named", routes.CONTACT_CREATE),
    ("contact.show", routes.CONTACT_SHOW),
    ("contact.update", routes.CONTACT_UPDATE),
    ("conversation.list.empty", routes.CONVERSATION_LIST),
    ("conversation.create", routes.CONVERSATION_CREATE),
    ("conversation.show", routes.CONVERSATION_SHOW),
    ("customer.resolve", routes.CONVERSATION_RESOLVE),
    ("customer.typing_on", routes.CONVERSATION_TYPING),
    ("customer.last_seen", routes.CONVERSATION_SEEN),
    ("message.list", routes.MESSAGE_LIST),
    ("message.create.first", routes.MESSAGE_CREATE),
    ("message.create.attachment", routes.MESSAGE_ATTACH),
    ("message.update.submitted_values", routes.MESSAGE_UPDATE),
    ("csat.show", routes.CSAT_SHOW),
    ("agent.profile", routes.AGENT_PROFILE),
    ("agent.inboxes.agent", routes.AGENT_INBOX_LIST),
    ("agent.conversation.list", routes.AGENT_CONVERSATION_LIST),
    ("agent.conversation.show", routes.AGENT_CONVERSATION_SHOW),
    ("agent.last_seen", routes.AGENT_CONVERSATION_SEEN),
    ("agent.typing_on", routes.AGENT_CONVERSATION_TYPING),
    ("agent.assign", routes.AGENT_CONVERSATION_ASSIGN),
    ("agent.resolve", routes.AGENT_CONVERSATION_RESOLVE),
    ("agent.message.list", routes.AGENT_MESSAGE_LIST),
    ("agent.reply.first", routes.AGENT_MESSAGE_CREATE),
    ("agent.private_note", routes.AGENT_NOTE_CREATE),
]
UNRECORDED = {routes.CSAT_UPDATE, routes.AGENT_CALL_CREATE, routes.AGENT_CALL_END}


@pytest.mark.parametrize(("step", "route"), RECORDED, ids=[route.name for _, route in RECORDED])
def test_a_route_is_the_recorded_one(step: str, route: Route) -> None:
    """Method and path are those that the real server answered."""
    request = exchange(step)["request"]
    path = route.path(inbox=INBOX, source_id=SOURCE, conversation=2, message=6, uuid=UUID, account=1)
    assert (route.method, path) == (request["method"], request["path"].partition("?")[0])


def test_every_route_is_recorded_and_has_a_name_of_its_own() -> None:
    """None is left out above but the three that the recording lacks; results are kept by name, so no two may share one."""
    assert {route for _, route in RECORDED} | UNRECORDED == set(ROUTES)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [("a/b", "a%2Fb"), ("a?b#c", "a%3Fb%23c"), ("ключ", "%D0%BA%D0%BB%D1%8E%D1%87"), ("{x} %", "%7Bx%7D%20%25"), (7, "7")],
)
def test_what_is_filled_in_is_quoted(value: str | int, quoted: str) -> None:
    """A value stays one segment of the path whatever it holds."""
    assert routes.INBOX_SHOW.path(inbox=value) == f"/public/api/v1/inboxes/{quoted}"


def test_a_value_that_is_missing_is_no_path() -> None:
    """A path with a hole is never asked for."""
    with pytest.raises(KeyError):
        routes.CONTACT_SHOW.path(inbox=INBOX)
