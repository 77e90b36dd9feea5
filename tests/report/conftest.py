from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadkit.report import page
from loadkit.results import reader, summary
from tests.report import build


@dataclass(frozen=True)
class Made:
    """A built run, read back, with its summary and its page."""

    folder: Path
    run: reader.Run
    summary: dict[str, Any]
    html: str


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[build.Plan], Made]:
    """Builds the run of a plan, once a session; nobody writes into its folder."""
    parent, known = tmp_path_factory.mktemp("runs"), {}

    def make(plan: build.Plan) -> Made:
        if plan.name not in known:
            folder = build.build(parent, plan)
            run = reader.read(folder)
            told = summary.summary_of(run)
            known[plan.name] = Made(folder, run, told, page.render(run, told))
        return known[plan.name]

    return make
