"""Locust comes first: what imports the standard library's sockets before it is patched keeps them blocking."""

import locust  # noqa: F401, I001 - imported for what it does to the process
from collections.abc import Iterator

import pytest

from tests.swarm.patched.agent_api import AgentApi


@pytest.fixture
def api() -> Iterator[AgentApi]:
    """An agent API that takes every reply and lists none."""
    made = AgentApi()
    yield made
    made.close()
