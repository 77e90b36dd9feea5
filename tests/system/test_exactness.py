"""Ledger and truth, reply by reply: what loadkit counts is what the server did."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.system.driver import SandboxProcess, partition_holds, until_replied

DEADLINE_US = 1_000_000
MANY = ("-u", "40", "-r", "40", "--agents", "8")


def expected(truth: dict[str, Any], row: dict[str, str]) -> tuple[str, set[str]]:
    """Return the end and the marks that a reply must have, by what the server did to it."""
    if truth["status"] >= 400:
        return "refused", set()
    own = [copy["unix_us"] for copy in truth["written"] if copy["to"] == row["subscription"]]
    marks = {"duplicate"} if len(own) > 1 else set()
    if len(own) < len(truth["written"]):
        marks.add("misrouted")
    if truth["fault"] == "swap":
        marks.add("out_of_order")
    if not own:
        return "lost", marks
    return ("on_time" if min(own) - int(row["due"]) <= DEADLINE_US else "late"), marks


@pytest.mark.parametrize("seed", [7, 20261124])
def test_every_reply_has_the_end_and_the_marks_that_the_server_gave_it(seed: int, tmp_path: Path) -> None:
    """For drawn numbers of faults over two thousand replies and more, deliveries.csv and the truth file agree reply by reply."""
    rng = random.Random(seed)
    faults = {kind: rng.randint(5, 40) for kind in ("drop", "duplicate", "swap", "misroute", "429", "5xx")}
    options = [part for kind, n in faults.items() for part in ("--fault", f"{kind}={n}of2000")]
    delays = rng.randint(5, 40)
    options += ["--fault", f"delay={delays}of2000:2s"]
    box = SandboxProcess(tmp_path, "--service", "none", "--seed", str(seed), *options)
    try:
        done = until_replied(box, tmp_path / "reports", 2000, *MANY, "--deadline", "1s", "--lost-after", "5s")
    finally:
        box.stop()
    truth, rows, summary = box.truth(), done.deliveries, done.summary
    assert len(truth) >= 2000
    assert truth.keys() == rows.keys()
    assert partition_holds(summary)
    wrong = {}
    for marker, row in rows.items():
        end, marks = expected(truth[marker], row)
        seen = set(row["marks"].split("+")) - {""}
        if truth[marker]["fault"] == "delay":
            seen.discard("out_of_order")  # a held reply is overtaken by its customer's next question
        if (row["end"], seen) != (end, marks):
            wrong[marker] = (row, truth[marker])
    assert not wrong, f"{len(wrong)} of {len(rows)}: {next(iter(wrong.values()))}"
    done_to = Counter(line["fault"] for line in truth.values())
    held = faults.pop("swap") + delays  # a swap whose partner did not come in time is a delay
    assert done_to["swap"] + done_to["delay"] == held
    assert {kind: done_to[kind] for kind in faults} == faults
    for end in ("on_time", "late", "lost", "refused"):
        assert summary["replies"][end] == sum(row["end"] == end for row in rows.values())


def test_without_faults_nothing_is_lost_late_or_marked(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """A clean server and thousands of replies: all on time, no mark, and the server's count is ours."""
    done = until_replied(sandbox, tmp_path / "reports", 3000, *MANY)
    replies = done.summary["replies"]
    assert replies["attempted"] == replies["on_time"] == len(sandbox.truth()) == len(done.deliveries) > 3000
    assert not any(replies[mark] for mark in ("duplicate", "out_of_order", "misrouted", "unasked"))
    assert done.summary["metrics"]["reply.response"]["count"] == replies["on_time"]
