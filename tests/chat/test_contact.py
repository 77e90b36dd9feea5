"""The customer's requests, held against the recorded ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.chat import routes
from loadkit.chat.contact import ContactApi, identifier_hash
from loadkit.chat.request import Attachment, Request
from tests.chat.golden import INBOX, MANDATORY, exchange, hmac_key

SOURCE = "ee3e108d-9c6a-477b-8f7a-246d0f669f61"
API = ContactApi(INBOX)
PLAIN: list[tuple[str, Callable[[], Request]]] = [
    ("inbox.show", API.show_inbox),
    ("contact.show", lambda: API.show_contact(SOURCE)),
    ("conversation.list.empty", lambda: API.list_conversations(SOURCE)),
    ("conversation.show", lambda: API.show_conversation(SOURCE, 2)),
    ("message.list", lambda: API.list_messages(SOURCE, 2)),
    ("message.list.before", lambda: API.list_messages(SOURCE, 2, before=6)),
    ("message.create.first", lambda: API.create_message(SOURCE, 2, content="Where is my order?", marker="lk-c-1")),
    ("message.create.after_reply", lambda: API.create_message(SOURCE, 2, content="Thanks <b>& more</b> \u2028 😀", marker="lk-c-2")),
    ("contact.update", lambda: API.update_contact(SOURCE, {"name": "Ada Renamed", "custom_attributes": {"tier": 2}})),
    ("customer.resolve", lambda: API.resolve(SOURCE, 2)),
    ("customer.typing_on", lambda: API.typing(SOURCE, 2, on=True)),
    ("customer.typing_off", lambda: API.typing(SOURCE, 2, on=False)),
    ("customer.last_seen", lambda: API.see(SOURCE, 2)),
    ("message.update.submitted_values", lambda: API.submit(SOURCE, 2, 6, [{"title": "A", "value": "a"}])),
    ("csat.show", lambda: API.show_survey("e9216e98-8a39-4f90-92bd-d2b1bc927ba5")),
    ("contact.create.identifier", lambda: API.create_contact(name="With id", identifier="user-c858cccc")),
]


@pytest.mark.parametrize(("step", "make"), PLAIN, ids=[step for step, _ in PLAIN])
def test_a_request_is_the_recorded_one(step: str, make: Callable[[], Request]) -> None:
    """Path, query and every key of the body."""
    recorded, request = exchange(step)["request"], make()
    assert (request.route.method, request.path) == (recorded["method"], recorded["path"])
    assert (None if request.body is None else json.loads(request.body)) == recorded["body"]


def test_an_attachment_is_a_form_on_the_path_of_a_message() -> None:
    """Its marker goes along as a field, and it is reported apart from texts."""
    request = API.attach(SOURCE, 2, [Attachment("a.txt", b"abc", "text/plain")], content="with file", marker="lk-c-3")
    recorded = exchange("message.create.attachment")["request"]
    assert (request.route.name, request.route.method, request.path) == ("message.attach", recorded["method"], recorded["path"])
    assert request.content_type.startswith("multipart/form-data; boundary=")
    assert b"lk-c-3" in (request.body or b"")


def test_a_rating_is_posted_under_its_message() -> None:
    """Without that wrapper the real server breaks."""
    request = API.rate("a-uuid", 4, "fine")
    assert (request.route.method, request.path) == ("PATCH", "/public/api/v1/csat_survey/a-uuid")
    values = {"csat_survey_response": {"rating": 4, "feedback_message": "fine"}}
    assert json.loads(request.body or b"") == {"message": {"submitted_values": values}}


def test_a_change_proves_the_identity() -> None:
    """Where there is a key, the proof goes with the changes."""
    request = ContactApi(INBOX, hmac_token="a-key").update_contact(SOURCE, {"name": "Ada"}, identifier="x")
    assert json.loads(request.body or b"") == {"name": "Ada", "identifier": "x", "identifier_hash": identifier_hash("a-key", "x")}


def test_a_name_alone_makes_a_contact() -> None:
    """Without an identifier nothing is proven and nothing claimed, key or not."""
    for api in (API, ContactApi(INBOX, hmac_token="a-key")):
        assert json.loads(api.create_contact(name="Ada").body or b"") == {"name": "Ada"}
        assert api.show_contact(SOURCE).path.endswith(f"/contacts/{SOURCE}")


@pytest.mark.parametrize(("step", "inbox"), [("contact.create.hmac_ok", INBOX), ("hmac.create.ok", MANDATORY)])
def test_the_proof_is_the_one_that_the_real_server_took(step: str, inbox: str) -> None:
    """Recorded key and identifier give the recorded hash, in the body of the request."""
    posted = exchange(step)["request"]["body"]
    request = ContactApi(inbox, hmac_token=hmac_key(inbox)).create_contact(name="Ada", identifier=posted["identifier"])
    assert request.route is routes.CONTACT_CREATE
    assert json.loads(request.body or b"") == {"name": "Ada", **posted}


def test_the_proof_of_a_session_is_in_the_query() -> None:
    """The recorded address, which verified a session, comes out whole."""
    recorded = exchange("hmac.show.ok")["request"]["path"]
    source_id = recorded.partition("?")[0].rpartition("/")[2]
    request = ContactApi(MANDATORY, hmac_token=hmac_key(MANDATORY)).show_contact(source_id, identifier="user-c858cccch")
    assert request.path == recorded


def test_the_hash_of_a_published_vector() -> None:
    """RFC 4231, test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert identifier_hash("Jefe", "what do ya want for nothing?") == expected


@given(st.text(), st.text(min_size=1))
def test_a_hash_is_hex_and_depends_on_both(identifier: str, key: str) -> None:
    """64 lowercase hex digits of the UTF-8 bytes; another key gives another hash, and a plain digest is none."""
    made = identifier_hash(key, identifier)
    assert len(made) == 64
    assert set(made) <= set("0123456789abcdef")
    assert made != identifier_hash(key + "x", identifier)
    assert made != hashlib.sha256(identifier.encode()).hexdigest()


def test_only_a_verified_sessions_list_may_fail_by_a_defect() -> None:
    """It is the same request, and says what the real server makes of it."""
    plain, verified = API.list_conversations(SOURCE), API.list_conversations(SOURCE, is_verified=True)
    assert (plain.path, plain.route) == (verified.path, verified.route)
    assert plain.defect is None
    assert verified.defect is not None
    assert verified.defect.refusal == "http_500"


def test_the_key_is_in_no_request() -> None:
    """Only its hashes leave."""
    api = ContactApi(INBOX, hmac_token="a-very-secret-key")
    made = [api.create_contact(name="Ada", identifier="x"), api.show_contact(SOURCE, identifier="x"), api.create_conversation(SOURCE)]
    assert not [request for request in made if "a-very-secret-key" in repr(request)]
    assert "a-very-secret-key" not in repr(api)
