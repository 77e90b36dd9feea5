"""Our stock policies against the stock clients: the waits of hundreds of drops, the clients' in virtual time."""

from __future__ import annotations

import json
import random
import subprocess
from bisect import bisect_right

import pytest

from loadkit.cable.reconnect import RECONNECT, STALE
from tests.conformance import parts
from tests.conformance.parts import JS
from tests.conformance.stock import POLICIES

DROPS, TRIES = 400, 6
# Two samples of 400 from one distribution are further apart than this once in three thousand times; both are seeded here.
APART = 0.15


def theirs(package: str, mode: str) -> list[list[float]]:
    """Return the waits of a stock client: those before each try of each drop."""
    command = ["node", str(JS / "waits.js"), package, "7", str(DROPS), str(TRIES), mode]
    found: list[list[float]] = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    return found


def ours(name: str, reason: str) -> list[list[float]]:
    random.seed(7)
    policy = RECONNECT[name]
    assert policy
    drops = [policy(reason) for _ in range(DROPS)]
    return [[next(waits), *(waits.send(0.0) for _ in range(TRIES - 1))] for waits in drops]


def distance(left: list[float], right: list[float]) -> float:
    """Return the greatest distance between two samples' distributions (Kolmogorov and Smirnov); a hundredth of a second is nothing."""
    samples = [sorted(round(value, 2) for value in sample) for sample in (left, right)]
    return max(abs(bisect_right(samples[0], at) - bisect_right(samples[1], at)) / len(left) for at in {*samples[0], *samples[1]})


@pytest.mark.parametrize(("mode", "reason"), [("closed", "eof"), ("silent", STALE)])
@pytest.mark.parametrize("package", POLICIES)
def test_our_waits_are_those_of_the_stock_client(package: str, mode: str, reason: str) -> None:
    """Before each try, and to the last of them, ours and the client's are distributed alike."""
    parts.clients.here()
    client, policy = theirs(package, mode), ours(POLICIES[package], reason)
    assert [len(drop) for drop in client] == [TRIES] * DROPS
    for n in range(TRIES):
        assert distance([drop[n] for drop in client], [drop[n] for drop in policy]) < APART, f"try {n}"
    assert distance([sum(drop) for drop in client], [sum(drop) for drop in policy]) < APART


def test_the_two_policies_are_told_apart() -> None:
    """The yardstick is fine enough: held against the other version's client, a policy fails before every try."""
    parts.clients.here()
    client, policy = theirs("actioncable-6.1", "closed"), ours("stock-7.0", "eof")
    assert all(distance([drop[n] for drop in client], [drop[n] for drop in policy]) > 2 * APART for n in range(TRIES))
