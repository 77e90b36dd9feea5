"""The clients that the world uses against the sandbox: they must not notice that it is none of Rails'."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadkit.cable import frames
from tests.conformance import parts
from tests.conformance.servers import SandboxServer
from tests.conformance.stock import PACKAGES, StockClient
from tests.support import eventually

STALE_S = 6.0  # no stock client comes back sooner after a drop


@pytest.fixture
def clients(sandbox: SandboxServer) -> Iterator[dict[str, StockClient]]:
    """One client of each package, by its token; all at once, since they take seconds to come back."""
    parts.clients.here()
    made = {sandbox.token(): package for package in PACKAGES}
    started = {token: StockClient(package, sandbox.url, token) for token, package in made.items()}
    yield started
    for client in started.values():
        client.close()


def test_stock_clients_are_served_and_come_back(sandbox: SandboxServer, clients: dict[str, StockClient]) -> None:
    """Each negotiates, is confirmed, hears, performs, survives a cut by its own rules, hears again once, and unsubscribes."""
    for token, client in clients.items():
        _is_served(sandbox, token, client)
    sandbox.cut()
    for client in clients.values():
        eventually(lambda client=client: client.of("disconnected"))
    for token in clients:
        sandbox.broadcast(token, "missed")
    for token, client in clients.items():
        _has_come_back(sandbox, token, client)
    held = sandbox.subscriptions()
    for client in clients.values():
        client.say("unsubscribe")
    eventually(lambda: sandbox.subscriptions() == held - len(PACKAGES))


def _is_served(sandbox: SandboxServer, token: str, client: StockClient) -> None:
    (connected,) = eventually(lambda: client.of("connected"), within=10)
    (upgraded,) = client.of("upgraded")
    assert upgraded["subprotocol"] == "actioncable-v1-json"
    assert connected["identifier"] == frames.room_identifier(token)
    sandbox.broadcast(token, "m1")
    eventually(lambda: client.heard() == ["m1"])
    before = eventually(client.presences)
    client.say("update_presence")
    eventually(lambda: client.presences() == before + 1)


def _has_come_back(sandbox: SandboxServer, token: str, client: StockClient) -> None:
    eventually(lambda: len(client.of("connected")) == 2, within=30)
    (dropped,), (_, again) = client.of("disconnected"), client.of("opening")
    assert dropped["willAttemptReconnect"] is True
    assert again["at"] - dropped["at"] > STALE_S
    sandbox.broadcast(token, "m2")
    eventually(lambda: "m2" in client.heard())
    assert client.heard() == ["m1", "m2"]
    assert client.of("rejected") == []
