"""The Client API beyond the recorded walk: contacts and sessions, proofs of identity, conversations, bodies and framing."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, urlencode

import pytest

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, Reply, Wire, ask, reply

FORM = "application/x-www-form-urlencoded"
NOT_FOUND = {"status": 404, "error": "Not Found"}
BROKEN = {"status": 500, "error": "Internal Server Error"}


def contacts(sandbox: Sandbox) -> str:
    return f"/public/api/v1/inboxes/{sandbox.inbox}/contacts"


def test_a_contact_is_found_again_by_what_identifies_it(sandbox: Sandbox) -> None:
    """Source id returns the session unchanged; identifier, email and phone return the contact with a new session."""
    path = contacts(sandbox)
    who = {"identifier": "u1", "email": "Mia@Example.TEST", "phone_number": "+4915112345", "name": "Mia"}
    first = ask(sandbox.url, "POST", path, who).json()
    assert first["email"] == "mia@example.test"
    again = ask(sandbox.url, "POST", path, {"source_id": first["source_id"], "name": "Other"}).json()
    assert again == first
    for key in ("identifier", "email", "phone_number"):
        other = ask(sandbox.url, "POST", path, {key: who[key], "name": "Other"}).json()
        assert (other["id"], other["name"]) == (first["id"], "Mia")
        assert other["source_id"] != first["source_id"]
        assert other["pubsub_token"] != first["pubsub_token"]


def test_a_chosen_source_id_is_honoured_in_its_inbox_alone(sandbox: Sandbox) -> None:
    """The session of one inbox is unknown in the other."""
    chosen = ask(sandbox.url, "POST", contacts(sandbox), {"source_id": "a b/ü"}).json()
    assert chosen["source_id"] == "a b/ü"
    name = quote("a b/ü", safe="")
    assert ask(sandbox.url, "GET", f"{contacts(sandbox)}/{name}").json() == chosen
    assert ask(sandbox.url, "GET", f"/public/api/v1/inboxes/{sandbox.hmac_inbox}/contacts/{name}").json() == NOT_FOUND


def test_names_are_made_up_only_where_there_is_none(sandbox: Sandbox) -> None:
    """No name gives adjective-noun-number, an empty one stays empty."""
    assert ask(sandbox.url, "POST", contacts(sandbox), {}).json()["name"].count("-") == 2
    assert ask(sandbox.url, "POST", contacts(sandbox), {"name": ""}).json()["name"] == ""


def test_the_same_seed_makes_the_same_server() -> None:
    """Tokens, inboxes and source ids repeat with the seed, and differ with another."""
    first, second, other = (Sandbox(seed=seed) for seed in (7, 7, 8))
    assert (first.inbox, first.agent_tokens) == (second.inbox, second.agent_tokens)
    assert first.inbox != other.inbox


def test_a_right_proof_is_accepted_and_a_wrong_one_breaks(sandbox: Sandbox) -> None:
    """A proof is checked where one is sent; it covers the request's identifier, the empty one too."""
    key = sandbox.store.plain.hmac_token.encode()
    for identifier in ("u1", ""):
        proof = hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()
        body = {"identifier": identifier, "identifier_hash": proof}
        assert ask(sandbox.url, "POST", contacts(sandbox), body).status == 200
        assert ask(sandbox.url, "POST", contacts(sandbox), body | {"identifier_hash": proof.upper()}).json() == BROKEN
    assert len(sandbox.store.contacts) == 2


def test_verified_sessions_share_events_and_lose_their_list(sandbox: Sandbox) -> None:
    """Creating does not verify, showing does; then every verified session hears, and the list of conversations breaks."""
    path = f"/public/api/v1/inboxes/{sandbox.hmac_inbox}/contacts"
    proof = hmac.new(sandbox.store.verified.hmac_token.encode(), b"u1", hashlib.sha256).hexdigest()
    fields = {"identifier": "u1", "identifier_hash": proof}
    one, two, three = (ask(sandbox.url, "POST", path, fields).json() for _ in range(3))
    listed = ask(sandbox.url, "GET", f"{path}/{one['source_id']}/conversations")
    assert listed.json() == []
    for session in (one, two):
        assert ask(sandbox.url, "GET", f"{path}/{session['source_id']}?{urlencode(fields)}").status == 200
    wires = [Wire(sandbox.url) for _ in range(3)]
    for wire, session in zip(wires, (one, two, three), strict=True):
        wire.subscribe(session["pubsub_token"])
    conversation = ask(sandbox.url, "POST", f"{path}/{one['source_id']}/conversations", {}).json()["id"]
    for wire in wires:
        wire.settle()
    assert [len(wire.events("conversation.created")) for wire in wires] == [1, 1, 0]
    assert ask(sandbox.url, "GET", f"{path}/{one['source_id']}/conversations").json() == BROKEN
    assert ask(sandbox.url, "GET", f"{path}/{two['source_id']}/conversations/{conversation}").status == 200
    assert ask(sandbox.url, "GET", f"{path}/{three['source_id']}/conversations/{conversation}").status == 404
    assert ask(sandbox.url, "GET", f"{path}/{three['source_id']}/conversations/{conversation}/messages").status == 200
    for wire in wires:
        wire.close()


def test_a_stranger_sees_nothing(sandbox: Sandbox, customer: Customer) -> None:
    """Another contact's conversation does not exist for a session, whichever route asks."""
    stranger = Customer(sandbox, connected=False)
    foreign = f"{stranger.path}/conversations/{customer.conversation}"
    for method, tail in (("GET", ""), ("GET", "/messages"), ("POST", "/messages"), ("POST", "/toggle_status")):
        assert ask(sandbox.url, method, foreign + tail, None if method == "GET" else {}).json() == NOT_FOUND


def test_messages_are_paged_backwards_by_twenty(sandbox: Sandbox, customer: Customer) -> None:
    """The newest twenty, then the twenty before; private notes do not count; a senseless id gives nothing."""
    for number in range(25):
        customer.says(f"c{number}")
        reply(sandbox, customer, f"a{number}", private=number % 2 == 0)
    newest = ask(sandbox.url, "GET", customer.messages).json()
    assert len(newest) == 20
    older = ask(sandbox.url, "GET", f"{customer.messages}?before={newest[0]['id']}").json()
    assert len(older) == 17
    ids = [message["id"] for message in older + newest]
    assert ids == sorted(set(ids))
    assert ask(sandbox.url, "GET", customer.messages + "?before=soon").json() == []


def test_a_flood_is_refused_with_the_records_own_words(sandbox: Sandbox) -> None:
    """The 200th message within a minute passes, the 201st does not, and another conversation is not concerned."""
    customer = Customer(sandbox, connected=False)
    assert [customer.says("x").status for _ in range(200)] == [200] * 200
    assert customer.says("x").json() == {"message": "Too many messages", "attributes": ["base"]}
    assert customer.says("x").headers["transfer-encoding"] == "chunked"
    assert Customer(sandbox, connected=False).says("x").status == 200


def test_forms_mean_what_json_means(sandbox: Sandbox, customer: Customer) -> None:
    """Urlencoded and multipart bodies nest by their names; numbers become text in a text column."""
    form = urlencode({"name": "Mia", "custom_attributes[plan][size]": "3"}).encode()
    source_id = ask(sandbox.url, "POST", contacts(sandbox), raw=form, content_type=FORM).json()["source_id"]
    session = sandbox.store.sessions[(1, source_id)]
    assert (session.contact.name, session.contact.custom_attributes) == ("Mia", {"plan": {"size": "3"}})
    part = b'--b\r\nContent-Disposition: form-data; name="content"\r\n\r\nhi\r\n--b--\r\n'
    multipart = "multipart/form-data; boundary=b"
    assert ask(sandbox.url, "POST", customer.messages, raw=part, content_type=multipart).json()["content"] == "hi"
    assert ask(sandbox.url, "POST", customer.messages, {"content": 5}).json()["content"] == "5"
    assert ask(sandbox.url, "POST", customer.messages, {"content": ["x"]}).json()["content"] is None


def test_files_come_as_a_list_or_break(sandbox: Sandbox, customer: Customer) -> None:
    """Sixteen repeated parts are sixteen attachments; a single file or text ids are the real server's 500."""

    def post(name: str, times: int) -> Reply:
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nx\r\n'
        raw = (head * times + "--b--\r\n").encode()
        return ask(sandbox.url, "POST", customer.messages, raw=raw, content_type="multipart/form-data; boundary=b")

    kinds = {(each["file_type"], each["file_size"], each["thumb_url"]) for each in post("attachments[]", 16).json()["attachments"]}
    assert kinds == {("file", 1, "")}
    assert post("attachments", 1).json() == BROKEN
    assert ask(sandbox.url, "POST", customer.messages, {"attachments": ["id"]}).json() == BROKEN


@pytest.mark.parametrize("body", [{"a": "x" * 1501}, {"a": 10_000_000_000}])
def test_oversized_attributes_are_refused(sandbox: Sandbox, body: dict[str, object]) -> None:
    """A conversation's custom attributes have limits of their own."""
    customer = Customer(sandbox, connected=False)
    answer = ask(sandbox.url, "POST", customer.path + "/conversations", {"custom_attributes": body})
    assert answer.json() == {"message": "Custom attributes a length should be < 1500", "attributes": ["custom_attributes"]}


def test_paths_that_are_nothing(sandbox: Sandbox) -> None:
    """An unknown path is a static page of 1564 bytes, or JSON for who asks; a declared but empty route is JSON always."""
    page = ask(sandbox.url, "GET", "/nothing/here")
    assert (page.status, len(page.body), page.headers["content-type"]) == (404, 1564, "text/html; charset=UTF-8")
    assert ask(sandbox.url, "GET", "/nothing", headers={"Accept": "application/json"}).json() == NOT_FOUND
    assert ask(sandbox.url, "GET", "/public/api/v1/inboxes").json() == NOT_FOUND
    plain = ask(sandbox.url, "GET", "/cable")
    assert (plain.status, plain.body, plain.headers["content-type"]) == (404, b"Page not found", "text/plain")


def test_browsers_of_any_origin_are_welcome(sandbox: Sandbox) -> None:
    """A preflight says so without a request id; other answers name the origin rule only to who sent one."""
    asked = {"Origin": "http://shop.test", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}
    preflight = ask(sandbox.url, "OPTIONS", contacts(sandbox), headers=asked)
    assert (preflight.status, preflight.body) == (200, b"")
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-headers"] == "x-a"
    assert preflight.headers["access-control-max-age"] == "7200"
    assert "x-request-id" not in preflight.headers
    plain = ask(sandbox.url, "GET", f"/public/api/v1/inboxes/{sandbox.inbox}")
    assert not [key for key in plain.headers if key.startswith("access-control")]


@pytest.mark.parametrize(("asked", "told"), [({}, None), ({"Connection": "close"}, "close")], ids=["kept", "closed"])
def test_an_answer_says_whether_its_connection_ends(sandbox: Sandbox, asked: dict[str, str], told: str | None) -> None:
    """A client that keeps connections must not find out by the next request."""
    for path in ("/api", "/nowhere", "/cable"):
        assert ask(sandbox.url, "GET", path, headers=asked).headers.get("connection") == told


def test_caching_is_conditional(sandbox: Sandbox) -> None:
    """The tag of a 200 makes the next GET a 304; a HEAD has the length and no body; a request id comes back."""
    path = f"/public/api/v1/inboxes/{sandbox.inbox}"
    first = ask(sandbox.url, "GET", path, headers={"X-Request-Id": "mine-1"})
    assert first.headers["x-request-id"] == "mine-1"
    again = ask(sandbox.url, "GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    head = ask(sandbox.url, "HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(first.body)))


def test_rails_escapes_reach_bodies_and_frames(sandbox: Sandbox, customer: Customer) -> None:
    """Markup and line separators are escaped, an emoji is not."""
    answer = customer.says("<b>&\u2028\u2029 😀")
    assert "\\u003cb\\u003e\\u0026\\u2028\\u2029 😀".encode() in answer.body
    assert customer.wire
    customer.wire.settle()
    assert customer.wire.events("message.created")[0]["data"]["content"] == "<b>&\u2028\u2029 😀"
