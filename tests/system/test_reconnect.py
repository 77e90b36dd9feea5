"""Cables that break: what the gap swallowed is recovered by the refetch, by message id, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.driver import RAPID, SandboxProcess, partition_holds, run

STORM = Path(__file__).with_name("storm.py")


@pytest.mark.parametrize("policy", ["immediate", "never"])
def test_what_a_broken_cable_swallowed_is_recovered(policy: str, tmp_path: Path) -> None:
    """Twenty customers' sockets are cut in place of a frame: those replies come back over HTTP, at once or at the end of the drain."""
    box = SandboxProcess(tmp_path, "--service", "none", "--fault", "disconnect=20of400")
    try:
        done = run(
            tmp_path / "reports", str(RAPID), "--target", str(box.target), "-u", "30", "-r", "30", "-t", "8s",
            "--lost-after", "8s", "--reconnect", policy, "--log-deliveries", "--quiet",
        )  # fmt: skip
    finally:
        box.stop()
    truth, rows, summary = box.truth(), done.deliveries, done.summary
    assert truth.keys() == rows.keys()
    swallowed = {marker for marker, line in truth.items() if not line["written"]}
    assert sum(line["fault"] == "disconnect" for line in truth.values()) == 20
    wrong = {marker: row["end"] for marker, row in rows.items() if row["end"] != ("recovered" if marker in swallowed else "on_time")}
    assert not wrong, f"{len(wrong)} of {len(rows)}: {list(wrong.items())[:5]} {[truth[marker] for marker in list(wrong)[:2]]}"
    assert partition_holds(summary)
    assert summary["replies"]["recovered"] == len(swallowed)
    assert summary["counters"]["cable.dropped"] == 20
    assert (summary["metrics"]["cable.reconnect"]["count"] > 0) == (policy == "immediate")


@pytest.mark.parametrize(
    ("policy", "threshold", "code"),
    [("immediate", "cable.reconnect p(95) < 10s", 0), ("stock-7.0", "cable.reconnect p(50) < 5s", 3)],
    ids=["at once", "as the stock client, which looks six seconds later"],
)
def test_a_storm_brings_everybody_back(sandbox: SandboxProcess, tmp_path: Path, policy: str, threshold: str, code: int) -> None:
    """All cables are cut at one moment: each comes back and reads, every reply still has its end, a threshold holds it, the page tells."""
    options = ("-u", "12", "-r", "12", "-t", "7s", "--agents", "6", "--reconnect", policy, "--threshold", threshold, "--log-deliveries")
    done = run(tmp_path / "reports", str(STORM), "--target", str(sandbox.target), *options, "--quiet")
    assert done.code == code, done.err
    summary = done.summary
    assert {row["text"]: row["passed"] for row in summary["thresholds"]}[threshold] == (code == 0)
    assert summary["counters"]["cable.cut"] == summary["counters"]["cable.dropped"] == 12
    assert summary["metrics"]["cable.reconnect"]["count"] == 12
    assert summary["metrics"]["http.message.list"]["count"] >= 12
    assert partition_holds(summary)
    assert summary["replies"]["lost"] == 0
    truth = sandbox.truth()
    assert {marker for marker, row in done.deliveries.items() if row["end"] != "refused"} == truth.keys()
    recovered = {marker for marker, row in done.deliveries.items() if row["end"] == "recovered"}
    assert recovered >= {marker for marker, line in truth.items() if not line["written"]}  # what we cut may have swallowed a written frame
    assert done.folder is not None
    page = (done.folder / "report.html").read_text()
    shown = ("Reconnect storm", "12 of 12", "100 % were back within", "answered a second at the peak after it", "of these, never seen")
    assert [text for text in shown if text not in page] == []
