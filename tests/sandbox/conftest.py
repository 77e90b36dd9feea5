"""Sandboxes that are stopped again and leave no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer

Make = Callable[..., Sandbox]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a maker of running sandboxes: without service time and with a truth file, unless told otherwise."""
    made: list[Sandbox] = []

    def start(**options: Any) -> Sandbox:
        made.append(Sandbox(**{"service": "none", "truth": tmp_path / "truth.jsonl", **options}))
        return made[-1].start()

    yield start
    for sandbox in made:
        sandbox.stop()
    assert [thread.name for thread in threading.enumerate() if thread.name == "loadkit-sandbox"] == []


@pytest.fixture
def sandbox(make: Make) -> Sandbox:
    return make()


@pytest.fixture
def customer(sandbox: Sandbox) -> Iterator[Customer]:
    """A connected customer with a conversation."""
    made = Customer(sandbox)
    yield made
    if made.wire:
        made.wire.close()
