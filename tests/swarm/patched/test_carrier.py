"""Customers' requests over Locust's client."""

from __future__ import annotations

from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from loadkit.chat.contact import ContactApi
from loadkit.measure.recorder import Recorder
from loadkit.swarm.carrier import Carrier
from loadkit.swarm.exchanges import Exchanges
from loadkit.swarm.patches import spell_redirects_both_ways
from loadkit.swarm.samples import Samples
from tests.chat.server import Server, answer


def accepted(*, keeps: bool) -> int:
    """Send two requests to a server that never closes a connection; return how many connections it accepted."""
    spell_redirects_both_ways()  # as every run does
    environment = Environment()
    exchanges = Exchanges(Recorder(), Samples(environment))
    server = Server([answer([])] * 2, [answer([])])
    session = FastHttpSession(server.host, environment.events.request, None, network_timeout=5.0)
    try:
        carry = Carrier(session, exchanges, keeps=keeps)
        request = ContactApi("inbox").list_messages("source-1", 1)
        assert [carry(request, list[int]) for _ in range(2)] == [[], []]
        return server.accepted
    finally:
        session.client.clientpool.close()
        server.close()


def test_a_connection_that_is_not_kept_is_not_used_again() -> None:
    """Not even where the server leaves it open in spite of what it was asked; a kept one is."""
    assert (accepted(keeps=True), accepted(keeps=False)) == (1, 2)
