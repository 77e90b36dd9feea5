from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.driver import SandboxProcess


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    """The fastest sandbox there is."""
    process = SandboxProcess(tmp_path, "--service", "none")
    yield process
    assert process.stop() == 0
