"""For all tests: their order, that a Ctrl-C reaches what they start, and how Hypothesis looks for examples."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SYSTEM = Path(__file__).with_name("system")


def pytest_configure() -> None:
    """Look for other examples in every run, but in CI for the same ones: what lands is not to depend on luck. Neither depends on the clock.

    A shell lets what it starts in the background ignore SIGINT, and every process that a test starts would inherit that.
    """
    settings.register_profile("loadkit", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ)
    settings.load_profile("loadkit")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first, the files with most of them before all: where lanes share the machine, short tests fill the gaps at the end."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.parent != SYSTEM, -tests[item.path], item.path))
