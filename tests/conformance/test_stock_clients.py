"""The clients that the world uses against the sandbox: they must not notice that it is none of Rails'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from loadkit.cable import frames
from loadkit.cable.connection import Cable
from loadkit.cable.reconnect import RECONNECT
from tests.cable.notes import Notes
from tests.conformance import parts
from tests.conformance.servers import SandboxServer
from tests.conformance.stock import POLICIES, StockClient
from tests.support import eventually

STALE_S = 6.0  # no stock client comes back sooner after a drop
SLACK_S = 3.0  # of a busy machine


@pytest.fixture
def clients(sandbox: SandboxServer) -> Iterator[dict[str, StockClient]]:
    """One client of each package, by its token; all at once, since they take seconds to come back."""
    parts.clients.here()
    made = {sandbox.token(): package for package in POLICIES}
    started = {token: StockClient(package, sandbox.url, token) for token, package in made.items()}
    yield started
    for client in started.values():
        client.close()


def test_stock_clients_are_served_and_come_back(
    sandbox: SandboxServer, clients: dict[str, StockClient], cables: Callable[..., Cable], notes: Notes
) -> None:
    """Each negotiates, is confirmed, hears, performs, survives a cut by its own rules, hears again once, and unsubscribes.

    Cables of ours with their policies stand beside them and are cut with them.
    """
    for token, client in clients.items():
        _is_served(sandbox, token, client)
    ours = {policy: cables(sandbox, frames.room_identifier(sandbox.token()), reconnect=policy) for policy in POLICIES.values()}
    for cable in ours.values():
        cable.open()
    sandbox.cut()
    for client in clients.values():
        eventually(lambda client=client: client.of("disconnected"))
    for token in clients:
        sandbox.broadcast(token, "missed")
    for (token, client), policy in zip(clients.items(), POLICIES.values(), strict=True):
        _has_come_back(sandbox, token, client, longest_wait(policy))
    again = eventually(lambda: notes.of("confirmed")[len(ours) :] if len(notes.of("confirmed")) == 2 * len(ours) else None, within=30)
    assert all(gap_us > STALE_S * 1e6 for _, gap_us in again)
    held = sandbox.subscriptions()
    for client in clients.values():
        client.say("unsubscribe")
    eventually(lambda: sandbox.subscriptions() == held - len(POLICIES))


def longest_wait(policy: str) -> float:
    """Return about the longest that our own policy waits after a drop."""
    makes = RECONNECT[policy]
    assert makes
    return max(next(makes("eof")) for _ in range(1000))


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


def _has_come_back(sandbox: SandboxServer, token: str, client: StockClient, longest: float) -> None:
    eventually(lambda: len(client.of("connected")) == 2, within=30)
    (dropped,), (_, again) = client.of("disconnected"), client.of("opening")
    assert dropped["willAttemptReconnect"] is True
    assert STALE_S < again["at"] - dropped["at"] < longest + SLACK_S
    sandbox.broadcast(token, "m2")
    eventually(lambda: "m2" in client.heard())
    assert client.heard() == ["m1", "m2"]
    assert client.of("rejected") == []
