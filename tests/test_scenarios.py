"""What every shipped scenario promises, whatever it is about."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from loadkit.cli.scenarios import shipped
from loadkit.measure.threshold import Threshold, parse_all


def thresholds_of(scenario: Path) -> dict[str, Threshold]:
    """Return what a scenario's `install` asks for, by metric."""
    calls = [node for node in ast.walk(ast.parse(scenario.read_text())) if isinstance(node, ast.Call)]
    (install,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "install"]
    given = {keyword.arg: keyword.value for keyword in install.keywords}
    return {threshold.metric: threshold for threshold in parse_all(ast.literal_eval(given["thresholds"]))}


@pytest.mark.parametrize("scenario", shipped().values(), ids=lambda path: path.stem)
def test_a_shipped_scenario_forgives_neither_leaks_nor_losses(scenario: Path) -> None:
    """No reply on another contact's cable, whatever is tried; and few lost ones, except where `loadkit calibrate` drops them itself."""
    held = thresholds_of(scenario)
    assert held["reply.misrouted"].text == "reply.misrouted count == 0"
    if scenario.stem != "steady":
        lost = held["reply.lost"]
        assert (lost.aggregate, lost.operator) == ("rate", "<")
        assert lost.limit <= 0.001
