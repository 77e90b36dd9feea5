"""Every verb of a customer does what it says, with and without a proof of identity."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.driver import SandboxProcess, run

EACH = Path(__file__).with_name("each_verb.py")


@pytest.mark.parametrize("proof", [[], ["--hmac"]], ids=["plain", "hmac"])
def test_each_verb_does_what_it_says(proof: list[str], tmp_path: Path) -> None:
    """The scenario holds them to it; here is held that it came to its end, and that a look at the survey was not in vain."""
    box = SandboxProcess(tmp_path, "--service", "none", *proof)
    try:
        done = run(tmp_path / "reports", str(EACH), "--target", str(box.target), "-u", "1", "-t", "5s", "--agents", "1", "--quiet")
    finally:
        box.stop()
    summary = done.summary
    assert summary["counters"].get("user.failed", 0) == 0, summary["errors"]
    once = {f"http.{name}": summary["metrics"][f"http.{name}"]["count"] for name in ("csat.show", "csat.update", "message.attach")}
    assert set(once.values()) == {1}, once
    assert summary["metrics"]["http.message.update"]["count"] == 2
    refused = {row["where"]: row["kind"] for row in summary["errors"]}
    assert refused == ({"conversation.list": "known_defect"} if proof else {})
    assert summary["replies"]["on_time"] == summary["replies"]["attempted"] == 3
