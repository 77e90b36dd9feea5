"""Customers of an earlier run come back as a reopened app does: nothing new is made for them, and they go on where they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.system.driver import Finished, SandboxProcess, partition_holds, run

LOAD = ("-u", "8", "-r", "8", "-t", "4s", "--quiet", "--log-deliveries")


def requests(done: Finished) -> dict[str, int]:
    """Return how many requests of each route were answered."""
    assert done.code == 0, done.err
    assert partition_holds(done.summary)
    metrics: dict[str, Any] = done.summary["metrics"]
    return {name.removeprefix("http."): metric["count"] for name, metric in metrics.items() if name.startswith("http.")}


def test_a_share_of_the_customers_comes_back(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """First all are new; then all come back: viewed, listed, read, continued; then, on two workers, each at most once."""
    kept = tmp_path / "who.jsonl"
    options = ("chatty", "--target", str(sandbox.target), *LOAD, "--identities", str(kept))
    first = requests(run(tmp_path / "1", *options))
    assert (first["contact.create"], first["conversation.create"], first.get("contact.show")) == (8, 8, None)
    assert kept.stat().st_mode & 0o777 == 0o600
    second = run(tmp_path / "2", *options, "--returning", "100%")
    came = requests(second)
    assert (came.get("contact.create"), came.get("conversation.create")) == (None, None)
    assert came["contact.show"] == came["conversation.list"] == came["message.list"] == second.summary["counters"]["customer.returned"] == 8
    third = run(tmp_path / "3", *options, "--returning", "50%", "--processes", "2")
    split = requests(third)
    assert split.get("contact.show", 0) + split.get("contact.create", 0) == 8
    sources = [json.loads(line)["source_id"] for line in kept.read_text().splitlines()]
    assert len(sources) == len(set(sources)) == 8 + split.get("contact.create", 0)


def test_a_file_that_others_may_read_is_refused(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """It holds the customers' tokens; and without a file nobody can come back."""
    kept = tmp_path / "who.jsonl"
    kept.write_text("")
    kept.chmod(0o644)
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *LOAD, "--identities", str(kept))
    assert done.code == 2
    assert "chmod 600" in done.err
    kept.chmod(0o600)
    kept.write_text("no identity\n")
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *LOAD, "--identities", str(kept))
    assert done.code == 2
    assert "cannot be read" in done.err
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target), *LOAD, "--returning", "40%")
    assert done.code == 2
    assert "--returning needs --identities" in done.err
