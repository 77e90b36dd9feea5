"""What an agent can do over HTTP, and what it makes of servers that answer something else."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from loadkit.chat import routes
from loadkit.chat.agent import MOST_PAGES, AgentClient
from loadkit.chat.agent_api import AgentApi
from loadkit.errors import AnswerError, LoadkitError, RemoteProtocolError, TransportError
from tests.chat.conftest import TOKEN
from tests.chat.golden import body, exchange
from tests.chat.server import CLOSE, SILENCE, Server, Step, answer, chunked
from tests.support import eventually

PROFILE = body("agent.profile")
TAKEN = answer(body("agent.reply.first"))
Serve = Callable[..., Server]
Make = Callable[..., AgentClient]


def reply(agent: AgentClient, marker: str = "lk-a-1", sending: Callable[[int], None] = lambda _: None) -> Any:
    return agent.reply(2, "On its way.", marker, sending=sending)


def held(gate: threading.Event) -> Step:
    """An answer that waits for a gate."""
    return lambda sock: gate.wait(10) and sock.sendall(TAKEN)


# The profile, and every answer that is none.


@pytest.mark.parametrize("content", [answer(PROFILE), chunked(PROFILE[:100], PROFILE[100:], b"")], ids=["with a length", "in chunks"])
def test_a_profile(content: bytes, serve: Serve, client: Make) -> None:
    """The recorded one, asked for with the token."""
    server = serve([content])
    profile = client(server.host).profile()
    said = exchange("agent.profile")["response"]["body"]
    assert (profile.id, profile.account_id, profile.role, profile.pubsub_token) == tuple(
        said[key] for key in ("id", "account_id", "role", "pubsub_token")
    )
    assert server.lines == ["GET /api/v1/profile"]
    assert f"\r\nApi-Access-Token: {TOKEN}\r\n".encode() in server.requests[0]


PAGE = b"<!DOCTYPE html><html><title>502 Bad Gateway</title></html>"
OTHERS: dict[str, tuple[list[Step], type[LoadkitError], str]] = {
    "a page": ([answer(PAGE)], RemoteProtocolError, "not_json"),
    "nothing": ([answer(b"")], RemoteProtocolError, "not_json"),
    "204": ([b"HTTP/1.1 204 No Content\r\n\r\n"], RemoteProtocolError, "not_json"),
    "a list": ([answer([])], RemoteProtocolError, "wrong_shape"),
    "another object": ([answer({"id": 1})], RemoteProtocolError, "wrong_shape"),
    "a half": ([b"HTTP/1.1 200 OK\r\n\r\n" + PROFILE[:-1], CLOSE], RemoteProtocolError, "not_json"),
    "a proxy's page": ([answer(PAGE, "502 Bad Gateway")], AnswerError, "http_502"),
    "the throttle": ([answer(body("limit.ip_throttle.agent_reply"), "429 Too Many Requests")], AnswerError, "throttled"),
    "the flood limit": ([answer(body("limit.conversation_flood.200"), "422 Unprocessable Entity")], AnswerError, "flood"),
    "another 422": ([answer(body("contact.create.bad_email"), "422 Unprocessable Entity")], AnswerError, "http_422"),
    "a bad token": ([answer(body("agent.profile.bad_token"), "401 Unauthorized")], AnswerError, "http_401"),
    "a redirect": ([answer(b"", "302 Found", headers=["Location: /app/login"])], AnswerError, "http_302"),
    "a cut": ([answer(PROFILE)[:-9], CLOSE], TransportError, "cut"),
    "a cut in chunks": ([chunked(PROFILE), CLOSE], TransportError, "cut"),
    "no answer": ([SILENCE], TransportError, "timeout"),
    "half an answer": ([answer(PROFILE)[:-9]], TransportError, "timeout"),
}


@pytest.mark.parametrize(("steps", "error", "kind"), OTHERS.values(), ids=OTHERS)
def test_every_other_answer_has_a_name(steps: list[Step], error: type[LoadkitError], kind: str, serve: Serve, client: Make) -> None:
    """A short sentence without a secret, one request, and the client is good for the next one."""
    server = serve(steps, [answer(PROFILE)])
    agent = client(server.host, timeout=0.2 if kind == "timeout" else 5)
    with pytest.raises(error) as caught:
        agent.profile()
    assert getattr(caught.value, "kind", "") == kind
    said = exchange("agent.profile")["response"]["body"]
    assert not [secret for secret in (TOKEN, said["access_token"], said["pubsub_token"]) if secret in str(caught.value)]
    assert len(str(caught.value)) < 200
    assert len(server.requests) == 1
    agent.close()
    assert agent.profile().id == said["id"]


# Replies.


def test_a_reply_is_posted_with_its_marker_twice(serve: Serve, client: Make) -> None:
    """As `echo_id`, which is relayed, and as `source_id`, which is stored; the answer comes back whatever its status."""
    server = serve([TAKEN, answer(PAGE, "502 Bad Gateway")])
    agent = client(server.host)
    assert [reply(agent).status, reply(agent).status] == [200, 502]
    recorded = exchange("agent.reply.first")["request"]
    assert server.lines[0] == f"POST {recorded['path']}"
    assert server.bodies[0] == {**recorded["body"], "message_type": "outgoing", "private": False}


def test_a_reply_may_be_a_form_or_a_survey(serve: Serve, client: Make) -> None:
    """A form is the recorded one, its items chosen by what they say; a survey brings nothing of its own."""
    server = serve([TAKEN, TAKEN])
    agent = client(server.host)
    agent.reply(2, "pick one", "lk-a-4", sending=lambda _: None, content_type="input_select", items=("A", "B"))
    agent.reply(2, "How was it?", "lk-a-5", sending=lambda _: None, content_type="input_csat", items=("A", "B"))
    form, survey = server.bodies
    recorded = exchange("agent.input_select")["request"]["body"]
    assert (form["content_type"], [item["title"] for item in form["content_attributes"]["items"]]) == (recorded["content_type"], ["A", "B"])
    assert {key for item in form["content_attributes"]["items"] for key in item} == {"title", "value"}
    assert (survey["content_type"], "content_attributes" in survey) == ("input_csat", False)
    assert [body["echo_id"] for body in server.bodies] == [body["source_id"] for body in server.bodies] == ["lk-a-4", "lk-a-5"]


def test_a_client_beside_another_does_not_wait_for_it(serve: Serve, client: Make) -> None:
    """All connections of the one are taken; a request of the other goes out, with the same token, on a connection of its own."""
    gate = threading.Event()
    server = serve([held(gate)], [answer(body("agent.last_seen"))])
    agent = client(server.host, connections=1)
    waiting = threading.Thread(target=reply, args=(agent,))
    waiting.start()
    eventually(lambda: server.requests)
    beside = agent.beside(1)
    sent: list[int] = []
    said = beside.carry(AgentApi(1).see(2), sending=sent.append)
    gate.set()
    waiting.join(10)
    beside.close()
    assert (said.status, sent, server.accepted) == (200, [said.sent_us], 2)
    assert f"\r\nApi-Access-Token: {TOKEN}\r\n".encode() in server.requests[1]


def test_sent_is_stamped_on_a_connection_that_is_ours(serve: Serve, client: Make) -> None:
    """Waiting for a free connection comes before *sent*: the second of two replies on one connection is sent after the first's answer."""
    gate, order = threading.Event(), []
    server = serve([held(gate), TAKEN])
    agent = client(server.host, connections=1)
    answers: dict[str, Any] = {}

    def send(marker: str) -> None:
        answers[marker] = reply(agent, marker, lambda sent_us: order.append((marker, sent_us)))

    first, second = (threading.Thread(target=send, args=(marker,)) for marker in ("lk-a-1", "lk-a-2"))
    first.start()
    eventually(lambda: server.requests)
    second.start()
    assert [marker for marker, _ in order] == ["lk-a-1"]
    gate.set()
    first.join(10)
    second.join(10)
    assert [marker for marker, _ in order] == ["lk-a-1", "lk-a-2"]
    assert [sent_us for _, sent_us in order] == [answers["lk-a-1"].sent_us, answers["lk-a-2"].sent_us]
    assert answers["lk-a-2"].sent_us >= answers["lk-a-1"].answered_us
    assert server.accepted == 1


def test_as_many_are_under_way_as_there_are_connections(serve: Serve, client: Make) -> None:
    """Five replies over two connections: two are with the server, then the others follow on the same two."""
    gate = threading.Event()
    server = serve([held(gate)] * 5, [held(gate)] * 5)
    agent = client(server.host, connections=2)
    sent: list[int] = []
    threads = [threading.Thread(target=reply, args=(agent, f"lk-a-{n}", sent.append)) for n in range(5)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(server.requests) == 2)
    assert len(sent) == 2
    gate.set()
    for thread in threads:
        thread.join(10)
    assert (len(sent), len(server.requests), server.accepted) == (5, 5, 2)


@pytest.mark.parametrize(("steps", "kind"), [([SILENCE, CLOSE], "cut"), ([TAKEN[:-5], CLOSE], "cut"), ([SILENCE], "timeout")])
def test_a_reply_without_an_answer_is_not_repeated(steps: list[Step], kind: str, serve: Serve, client: Make) -> None:
    """It may exist: *sent* was stamped, and the server sees it once."""
    server = serve(steps)
    agent = client(server.host, timeout=0.2 if kind == "timeout" else 5)
    sent: list[int] = []
    with pytest.raises(TransportError) as caught:
        reply(agent, sending=sent.append)
    assert caught.value.kind == kind
    assert (len(sent), len(server.requests), server.accepted) == (1, 1, 1)


def test_a_reply_on_a_connection_that_was_closed_while_idle(serve: Serve, client: Make) -> None:
    """It goes out once, on a new one, stamped once."""
    server = serve([TAKEN, CLOSE], [TAKEN])
    agent = client(server.host)
    sent: list[int] = []
    reply(agent, sending=sent.append)
    eventually(lambda: server.hung_up == 1)
    assert reply(agent, sending=sent.append).status == 200
    assert (len(sent), len(server.requests), server.accepted) == (2, 2, 2)


def test_a_reply_that_cannot_be_sent_was_not_sent(serve: Serve, client: Make) -> None:
    """Nobody listens: `unreachable`, and no stamp."""
    server = serve()
    host = server.host
    server.close()
    sent: list[int] = []
    with pytest.raises(TransportError) as caught:
        client(host).reply(2, "text", "lk-a-1", sending=sent.append)
    assert caught.value.kind == "unreachable"
    assert sent == []


# The message list.


def page(*messages: tuple[int, str | None]) -> bytes:
    return answer({"meta": {}, "payload": [{"id": number, "source_id": source_id} for number, source_id in messages]})


def test_the_recorded_message_list_tells_the_ids(serve: Serve, client: Make) -> None:
    """What is asked for is found by its `source_id`, in one request where one is enough."""
    server = serve([answer(body("agent.message.list"))])
    assert client(server.host).find_messages(2, {"lk-a-1"}) == {"lk-a-1": 2}
    assert server.lines == ["GET /api/v1/accounts/1/conversations/2/messages"]


def test_pages_are_walked_back_until_all_are_found(serve: Serve, client: Make) -> None:
    """Each page begins before the lowest id seen; messages that nobody asked for are left out."""
    server = serve([page((30, "c"), (31, None)), page((20, "b"), (21, "x")), page((10, "a")), page()])
    assert client(server.host).find_messages(2, {"a", "b", "c"}) == {"a": 10, "b": 20, "c": 30}
    assert [line.partition("?")[2] for line in server.lines] == ["", "before=30", "before=20"]


def test_pages_are_walked_back_to_the_first_message(serve: Serve, client: Make) -> None:
    """An empty page ends it: what is not there was not taken."""
    server = serve([page((3, "c")), page((1, None)), page()])
    assert client(server.host).find_messages(2, {"a", "c"}) == {"c": 3}
    assert len(server.requests) == 3


def test_a_server_that_pages_for_ever_is_left(serve: Serve, client: Make) -> None:
    """The number of pages is bounded."""
    server = serve([page((3, None))] * (MOST_PAGES + 1))
    assert client(server.host).find_messages(2, {"a"}) == {}
    assert len(server.requests) == MOST_PAGES


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([page((3, "c")), answer(PAGE, "502 Bad Gateway")], AnswerError),
        ([page((3, "c")), answer(PAGE)], RemoteProtocolError),
        ([page((3, "c")), answer({"payload": [{"source_id": "a"}]})], RemoteProtocolError),
        ([page((3, "c")), SILENCE, CLOSE], TransportError),
    ],
    ids=["refused", "a page", "without ids", "cut"],
)
def test_half_a_list_is_no_list(steps: list[Step], error: type[LoadkitError], serve: Serve, client: Make) -> None:
    """A list that cannot be read to its end says nothing, rather than that a reply is not there."""
    with pytest.raises(error):
        client(serve(steps).host).find_messages(2, {"a", "c"})


# Secrets.


def test_the_token_is_in_a_header_only(serve: Serve, client: Make) -> None:
    """Not in a path, a body or what is printed."""
    server = serve([TAKEN, answer(PROFILE)])
    agent = client(server.host)
    reply(agent)
    agent.call(routes.AGENT_PROFILE, query="?x=1")
    for request in server.requests:
        assert re.findall(TOKEN.encode(), request) == [TOKEN.encode()]
        assert f"\r\nApi-Access-Token: {TOKEN}\r\n".encode() in request
    assert TOKEN not in repr(agent)
