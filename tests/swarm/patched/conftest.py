"""Locust comes first: what imports the standard library's sockets before it is patched keeps them blocking."""

import locust  # noqa: F401, I001 - imported for what it does to the process
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.swarm.patched.agent_api import AgentApi
from tests.swarm.patched.room import Room


@pytest.fixture
def api() -> Iterator[AgentApi]:
    """An agent API that takes every reply and lists none."""
    made = AgentApi()
    yield made
    made.close()


@pytest.fixture
def room(api: AgentApi) -> Iterator[Callable[..., Room]]:
    """Makes desks; each is stopped as a run stops one, and its account must be even."""
    made: list[Room] = []

    def make(*args: Any, **options: Any) -> Room:
        made.append(Room(api, *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()
