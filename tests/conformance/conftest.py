"""The servers of the cable suite, started once, and sockets and cables to them that are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loadkit.cable.connection import Cable
from loadkit.cable.receiver import Receiver
from tests.cable.conftest import steadily
from tests.cable.notes import Notes
from tests.conformance import parts
from tests.conformance.servers import RailsServer, SandboxServer, Server
from tests.sandbox.client import Wire


@pytest.fixture(scope="package")
def rails() -> Iterator[RailsServer]:
    parts.rails.here()
    server = RailsServer()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def sandbox() -> Iterator[SandboxServer]:
    server = SandboxServer()
    yield server
    server.stop()


@pytest.fixture(params=["rails", "sandbox"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the two in turn."""
    made: Server = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def wires() -> Iterator[Callable[..., Wire]]:
    """A maker of raw sockets, welcomed where they are, that are closed again."""
    made: list[Wire] = []

    def connect(server: Server, **options: Any) -> Wire:
        made.append(Wire(server.url, **options))
        made[-1].welcomed()
        return made[-1]

    yield connect
    for wire in made:
        wire.close()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def cables(notes: Notes) -> Iterator[Callable[..., Cable]]:
    """A maker of loadkit's own cables that are closed again."""
    receiver = Receiver(b"lk1:")
    made: list[Cable] = []

    def make(server: Server, identifier: str, *, path: str = "/cable", **options: Any) -> Cable:
        url = server.url.replace("http", "ws", 1) + path
        options = {"watcher": notes, "presence_every": 0.0, "reconnect": steadily(0.05)} | options
        made.append(Cable(url, identifier, receiver=receiver, **options))
        return made[-1]

    yield make
    for cable in made:
        cable.close()
    receiver.close()
