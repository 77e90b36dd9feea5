"""Customers' requests over Locust's client."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
from gevent.event import Event
from gevent.server import StreamServer
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from loadkit.chat.contact import ContactApi
from loadkit.measure.recorder import Recorder
from loadkit.swarm.carrier import Carrier
from loadkit.swarm.exchanges import Exchanges
from loadkit.swarm.patches import spell_redirects_both_ways
from loadkit.swarm.samples import Samples
from tests.chat.server import Server, answer
from tests.support import no_descriptors


@contextmanager
def carrying(*connections: list[bytes], keeps: bool = True) -> Iterator[tuple[Carrier, Server, Recorder]]:
    """A carrier to a server that gives these answers, connection by connection, and closes none by itself."""
    spell_redirects_both_ways()  # as every run does
    environment, recorder = Environment(), Recorder()
    exchanges = Exchanges(recorder, Samples(environment))
    server = Server(*connections)
    session = FastHttpSession(server.host, environment.events.request, None, network_timeout=5.0)
    try:
        yield Carrier(session, exchanges, keeps=keeps), server, recorder
    finally:
        session.client.clientpool.close()
        server.close()


def accepted(*, keeps: bool) -> int:
    """Send two requests and return how many connections the server accepted."""
    with carrying([answer([])] * 2, [answer([])], keeps=keeps) as (carry, server, _):
        request = ContactApi("inbox").list_messages("source-1", 1)
        assert [carry(request, list[int]) for _ in range(2)] == [[], []]
        return server.accepted


def test_a_connection_that_is_not_kept_is_not_used_again() -> None:
    """Not even where the server leaves it open in spite of what it was asked; a kept one is."""
    assert (accepted(keeps=True), accepted(keeps=False)) == (1, 2)


def test_a_defect_that_the_server_no_longer_has_excuses_nothing() -> None:
    """A verified list that answers 500 is the known defect; once it has answered well, a 500 is a failed request."""
    broken = answer({}, "500 Internal Server Error")
    with carrying([broken, answer([]), broken, broken]) as (carry, _, recorder):
        request = ContactApi("inbox", hmac_token="key").list_conversations("source-1", is_verified=True)
        assert [carry(request, list[int]) for _ in range(4)] == [None, [], None, None]
        interval = recorder.cut()
    assert {(row.kind, row.count) for row in interval.errors} == {("known_defect", 1), ("http_500", 2)}
    assert interval.counters["http.conversation.list.failed"] == 2


def test_a_request_for_which_we_had_no_descriptor_is_told_from_one_that_the_target_did_not_take() -> None:
    """Our own shortage is no word about the target; that nobody listens is one."""
    with carrying() as (carry, server, recorder):
        request = ContactApi("inbox").list_messages("source-1", 1)
        with no_descriptors():
            assert carry(request, list[int]) is None
        server.close()
        assert carry(request, list[int]) is None
        interval = recorder.cut()
    assert [row.kind for row in interval.errors] == ["shortage", "unreachable"]


def test_a_pool_that_another_request_has_closed_is_a_cut() -> None:
    """A refetch is under way, its user starts over, the server hangs up: counted as unanswered, and no exception of ours."""
    asked, over = Event(), Event()

    def hang_up(peer: socket.socket, _: object) -> None:
        peer.recv(65_536)
        asked.set()
        over.wait(10)

    listener = StreamServer(("127.0.0.1", 0), hang_up)
    listener.start()
    environment, recorder = Environment(), Recorder()
    host = f"http://127.0.0.1:{listener.server_port}"
    session = FastHttpSession(host, environment.events.request, None, network_timeout=5.0, concurrency=10)
    spell_redirects_both_ways()
    try:
        carry = Carrier(session, Exchanges(recorder, Samples(environment)))
        request = gevent.spawn(carry, ContactApi("inbox").list_messages("source-1", 1), list[int])
        assert asked.wait(10)
        session.client.clientpool.close()
        over.set()
        assert request.get(timeout=10) is None
    finally:
        listener.stop()
    interval = recorder.cut()
    assert interval.counters == {"http.message.list.failed": 1, "http.message.list.unanswered": 1}
    assert [(row.kind, row.example) for row in interval.errors] == [("cut", "connection pool closed")]
