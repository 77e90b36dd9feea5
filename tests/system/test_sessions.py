"""Verified contacts: with several sessions each is owed a copy, told reply by reply; what their server cannot list is no failed load."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.system.driver import Finished, SandboxProcess, desk_adds_up, partition_holds, run

DEVICES, LOOKS = (str(Path(__file__).with_name(name)) for name in ("devices.py", "looks.py"))
BEFORE = 5
"""How many replies each customer gets before something happens."""

LOAD = ("-u", "8", "-r", "8", "-t", "6s", "--deadline", "2s", "--lost-after", "4s", "--log-deliveries", "--quiet")


@pytest.fixture
def verified(tmp_path: Path) -> Iterator[SandboxProcess]:
    """The fastest sandbox there is, and an inbox that demands a proof."""
    process = SandboxProcess(tmp_path, "--service", "none", "--hmac")
    yield process
    assert process.stop() == 0


def by_devices(results: Path, box: SandboxProcess, *options: str, then: str = "stay") -> Finished:
    """Run customers of whom every second one has two devices, and hold what they were owed against the truth, reply by reply."""
    with patch.dict(os.environ, {"THEN": then}):
        done = run(results, DEVICES, "--target", str(box.target), *LOAD, *options)
    summary, truth = done.summary, box.truth()
    assert summary["counters"]["user.failed"] == 0, summary["errors"]
    assert partition_holds(summary)
    assert desk_adds_up(summary)
    told = {marker: Counter(copy["to"] for copy in line["written"]) for marker, line in truth.items()}
    devices: dict[str, set[str]] = {}
    for marker, row in done.deliveries.items():
        devices.setdefault(row["subscription"], set()).update(told[marker].keys() - {row["subscription"]})
    assert {len(others) for others in devices.values()} == {0, 1}
    owed = {marker: others for marker, row in done.deliveries.items() if (others := devices[row["subscription"]])}
    seen = sum(told[marker][key] > 0 for marker, others in owed.items() for key in others)
    assert summary["copies"] == {"owed": len(owed), "seen": seen, "missing": len(owed) - seen}
    absent = sorted((marker, key) for marker, others in owed.items() for key in others if not told[marker][key])
    assert sorted((event["marker"], *event["sessions"]) for event in done.events if event["kind"] == "copy_missing") == absent
    assert seen >= 4 * BEFORE
    for name in ("misrouted", "duplicate", "refused", "undetermined"):
        assert summary["replies"][name] == 0, name
    assert summary["counters"]["reply.stray"] == 0
    return done


def gauges(summary: dict[str, Any]) -> tuple[float, float]:
    """Return the most cables that were open, and the most that were wanted."""
    return summary["gauges"]["cable.open"]["max"], summary["gauges"]["cable.wanted"]["max"]


def test_every_session_of_a_verified_contact_sees_every_reply(verified: SandboxProcess, tmp_path: Path) -> None:
    """Eight customers with twelve cables: each reply once on each of its customer's cables, and nowhere else."""
    done = by_devices(tmp_path / "reports", verified)
    summary = done.summary
    assert summary["copies"]["missing"] == 0
    assert summary["replies"]["on_time"] == summary["replies"]["attempted"]
    assert (gauges(summary), summary["counters"]["cable.dropped"]) == ((12, 12), 0)
    assert (done.code, summary["errors"]) == (0, [])
    assert f"{summary['copies']['owed']} further copies owed, 0 missing" in (done.folder / "report.html").read_text()


def test_what_is_dropped_is_missing_on_all_of_them(tmp_path: Path) -> None:
    """A dropped reply is lost and its copy missing; both are waited for equally long."""
    box = SandboxProcess(tmp_path, "--service", "none", "--hmac", "--fault", "drop=5of40")
    try:
        summary = by_devices(tmp_path / "reports", box).summary
    finally:
        box.stop()
    assert summary["replies"]["lost"] == 5
    assert 0 <= summary["copies"]["missing"] <= 5


def test_a_device_that_is_lost_misses_what_comes_later(verified: SandboxProcess, tmp_path: Path) -> None:
    """The second cables are cut and stay away: the replies all come, and each copy since then is missing."""
    limit = ("--threshold", "copies.missing rate < 1%")
    done = by_devices(tmp_path / "reports", verified, "--reconnect", "never", *limit, then="lose")
    summary = done.summary
    assert summary["copies"]["seen"] == 4 * BEFORE
    assert summary["copies"]["missing"] > 0
    assert (done.code, summary["thresholds"][0]["value"]) == (3, summary["copies"]["missing"] / summary["copies"]["owed"])
    assert summary["replies"]["on_time"] == summary["replies"]["attempted"]
    assert (gauges(summary), summary["counters"]["cable.dropped"]) == ((12, 12), 4)
    assert "never reached another session of a verified contact" in (done.folder / "report.html").read_text()


def test_customers_who_leave_take_their_devices_along_when_the_copies_have_come(verified: SandboxProcess, tmp_path: Path) -> None:
    """On two workers, with replies that are sent after their customers left: none is missing, and no cable outlives its customer."""
    summary = by_devices(tmp_path / "reports", verified, "--processes", "2", then="leave").summary
    assert summary["copies"]["missing"] == 0
    assert summary["counters"]["cable.opened"] > 2 * 12
    assert gauges(summary)[0] <= 12


@pytest.mark.parametrize(("by", "code"), [("oneself", 0), ("another", 1)])
def test_a_list_that_the_server_cannot_give_is_its_defect(verified: SandboxProcess, tmp_path: Path, by: str, code: int) -> None:
    """Where the identity was proven it is counted as that, to the request, and nothing failed; where it was not it is a failure."""
    with patch.dict(os.environ, {"BY": by}):
        done = run(tmp_path / "reports", LOOKS, "--target", str(verified.target), "-u", "5", "-r", "5", "-t", "5s", "--quiet")
    summary = done.summary
    assert done.code == code, done.err
    assert summary["counters"]["user.failed"] == 0
    assert [(row["kind"], row["where"], row["count"]) for row in summary["errors"]] == [
        ("http_500" if code else "known_defect", "conversation.list", 15)
    ]
    assert summary["counters"]["http.conversation.list.failed"] == (15 if code else 0)
    assert summary["metrics"]["http.conversation.list"]["count"] == 20
    page = (done.folder / "report.html").read_text()
    assert ("15 requests met a defect of the server: OneHash Chat 4.2.0 answers 500" in page) == (not code)


def test_verified_customers_come_back_to_the_conversations_that_they_knew(verified: SandboxProcess, tmp_path: Path) -> None:
    """Their list is refused, and their app had kept which ones they were: nothing new is made."""
    options = ("chatty", "--target", str(verified.target), "-u", "6", "-r", "6", "-t", "4s", "--quiet")
    options += ("--identities", str(tmp_path / "who.jsonl"))
    first = run(tmp_path / "1", *options)
    assert (first.code, first.summary["errors"]) == (0, []), first.err
    second = run(tmp_path / "2", *options, "--returning", "100%")
    summary = second.summary
    assert second.code == 0, second.err
    asked = {name: summary["metrics"].get(f"http.{name}", {"count": 0})["count"] for name in ("contact.create", "conversation.create")}
    assert asked == {"contact.create": 0, "conversation.create": 0}
    assert summary["counters"]["customer.returned"] == summary["metrics"]["http.message.list"]["count"] == 6
    assert [(row["kind"], row["where"], row["count"]) for row in summary["errors"]] == [("known_defect", "conversation.list", 6)]
    assert summary["replies"]["on_time"] == summary["replies"]["attempted"] > 0
