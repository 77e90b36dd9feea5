"""A receiver, a notebook and cables that are closed again."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loadkit.cable.connection import Cable
from loadkit.cable.receiver import Receiver
from loadkit.cable.reconnect import ReconnectPolicy, Waits
from tests.cable.notes import Notes
from tests.cable.peer import IDENTIFIER, Peer, Script, ordinary

NEEDLE = b"lk1:"
CERTIFICATE = Path(__file__).with_name("loopback.pem")


def steadily(wait: float) -> ReconnectPolicy:
    """A policy that always waits as long."""

    def waits(reason: str) -> Waits:
        while True:
            yield wait

    return waits


@pytest.fixture
def lags() -> list[int]:
    return []


@pytest.fixture
def receiver(lags: list[int], request: pytest.FixtureRequest) -> Iterator[Receiver]:
    made = Receiver(NEEDLE, read_lag=lags.append, portable=getattr(request, "param", "epoll") == "portable")
    yield made
    made.close()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
def peers() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(script: Script = ordinary, **options: Any) -> Peer:
        made.append(Peer(script, **options))
        return made[-1]

    yield make
    for peer in made:
        peer.close()
    assert [fault for peer in made for fault in peer.faults] == []


@pytest.fixture
def cables(receiver: Receiver, notes: Notes) -> Iterator[Callable[..., Cable]]:
    made: list[Cable] = []

    def make(peer: Peer, **options: Any) -> Cable:
        options = {"watcher": notes, "presence_every": 0.0, "connect_timeout": 5.0, "confirm_timeout": 5.0} | options
        made.append(Cable(peer.url, options.pop("identifier", IDENTIFIER), receiver=receiver, **options))
        return made[-1]

    yield make
    for cable in made:
        cable.close()
