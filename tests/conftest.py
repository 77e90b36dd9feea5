"""The order of the tests: whole runs first. They mostly wait, and where lanes share the machine the short tests fill what they leave."""

from __future__ import annotations

from pathlib import Path

import pytest

SYSTEM = Path(__file__).with_name("system")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent != SYSTEM)
