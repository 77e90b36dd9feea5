"""Cables break the ways they break in production, in the middle of a run: by message id, every reply still has its end."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support import eventually
from tests.system.driver import RAPID, Finished, SandboxProcess, desk_adds_up, finish, has_replies, partition_holds, start

LOAD = ("-u", "20", "-r", "20", "-t", "14s", "--lost-after", "10s", "--log-deliveries", "--quiet")


def tell(box: SandboxProcess, method: str, path: str, value: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the control API."""
    data = json.dumps(value or {}).encode()
    request = urllib.request.Request(box.first["control"] + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.loads(answer.read()))


def broken(box: SandboxProcess, results: Path, method: str, path: str, value: dict[str, Any] | None = None) -> Finished:
    """Run, break something as soon as replies flow, and check what holds however it breaks."""
    process = start(results, str(RAPID), "--target", str(box.target), *LOAD)
    eventually(lambda: has_replies(results), within=30)
    tell(box, method, path, value)
    done = finish(results, process)
    summary = done.summary
    assert partition_holds(summary)
    assert desk_adds_up(summary)
    assert summary["replies"]["undetermined"] == 0
    truth = box.truth()
    assert truth.keys() == {marker for marker, row in done.deliveries.items() if row["end"] != "refused"}
    unseen = {marker for marker, row in done.deliveries.items() if row["end"] in ("recovered", "lost")}
    unwritten = {marker for marker, line in truth.items() if not line["written"]}
    assert unwritten <= unseen  # what the server never wrote came over HTTP or not at all
    return done


@pytest.mark.parametrize("path", ["/cut", "/restart"], ids=["TCP is cut", "the server restarts"])
def test_everybody_comes_back_and_reads_what_was_missed(sandbox: SandboxProcess, tmp_path: Path, path: str) -> None:
    """All sockets at once, without a word or with a goodbye: nothing is lost."""
    summary = broken(sandbox, tmp_path / "reports", "POST", path).summary
    assert summary["counters"]["cable.dropped"] >= 20
    assert summary["metrics"]["cable.reconnect"]["count"] >= 20
    assert summary["replies"]["lost"] == 0


def test_a_black_hole_is_noticed_by_its_silence(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Some sockets stay open and say nothing any more, not even pings: they are given up, and what they swallowed is read over HTTP."""
    done = broken(sandbox, tmp_path / "reports", "PUT", "/faults", {"black_hole": "5of500"})
    assert any(error["kind"] == "dropped_stale" for error in done.summary["errors"])
    assert done.summary["replies"]["recovered"] > 0


def test_what_a_deaf_server_does_not_send_is_lost(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Open, pinged and silent: nobody knows that anything is missing, so it is lost, to the message."""
    done = broken(sandbox, tmp_path / "reports", "PUT", "/faults", {"deaf": "on"})
    lost = {marker for marker, row in done.deliveries.items() if row["end"] == "lost"}
    assert lost == {marker for marker, line in sandbox.truth().items() if not line["written"]}
    assert lost
