"""The scenario that does everything: every route there is, every event that a customer can be told, and no failed request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadkit.chat import routes
from loadkit.chat.events import CUSTOMER_EVENTS
from tests.system.driver import Finished, SandboxProcess, desk_adds_up, partition_holds, run

HURRIED = Path(__file__).with_name("hurried.py")
FIRST_LOOK = {routes.INBOX_SHOW, routes.AGENT_PROFILE, routes.AGENT_INBOX_LIST}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Finished, SandboxProcess]]:
    """A day at the help desk in twelve seconds."""
    folder = tmp_path_factory.mktemp("day")
    box = SandboxProcess(folder, "--service", "none")
    done = run(
        folder / "reports", str(HURRIED), "--target", str(box.target), "-u", "24", "-r", "24", "-t", "12s", "--agents", "6", "--quiet",
    )  # fmt: skip
    yield done, box
    box.stop()


def test_every_route_is_a_row_of_the_results(day: tuple[Finished, SandboxProcess]) -> None:
    """But for what only the first look asks for; and no request failed."""
    summary = day[0].summary
    asked = {name.removeprefix("http.") for name, row in summary["metrics"].items() if name.startswith("http.") and row["count"]}
    assert asked == {route.name for route in routes.ROUTES if route not in FIRST_LOOK}
    failed = {name: n for name, n in summary["counters"].items() if name.endswith((".failed", ".unanswered")) and n}
    assert (failed, summary["errors"]) == ({}, [])


def test_every_event_of_a_customer_is_counted_with_its_bytes(day: tuple[Finished, SandboxProcess]) -> None:
    """The ten of them, and those that agents alone are told."""
    frames = day[0].summary["frames"]
    told = {name for name, row in frames.items() if row["count"] and row["bytes"] > row["count"]}
    assert told >= CUSTOMER_EVENTS
    agents_alone = {"contact.updated", "assignee.changed", "first.reply.created", "notification.created", "conversation.read"}
    assert told >= agents_alone


def test_with_a_key_some_customers_have_two_devices(tmp_path: Path) -> None:
    """Their copies come as the replies do; what fails is what the real server cannot do, and that is told as its defect."""
    box = SandboxProcess(tmp_path, "--service", "none", "--hmac")
    try:
        done = run(
            tmp_path / "reports", str(HURRIED), "--target", str(box.target), "-u", "24", "-r", "24", "-t", "8s", "--agents", "6", "--quiet",
        )  # fmt: skip
    finally:
        box.stop()
    summary = done.summary
    assert done.code == 0, done.err
    assert {(row["kind"], row["where"]) for row in summary["errors"]} == {("known_defect", "conversation.list")}
    assert not {name: n for name, n in summary["counters"].items() if name.endswith((".failed", ".unanswered")) and n}
    assert summary["copies"]["owed"] == summary["copies"]["seen"] > 0
    assert summary["replies"]["on_time"] == summary["replies"]["attempted"] == len(box.truth())
    assert (summary["replies"]["misrouted"], summary["counters"]["reply.stray"]) == (0, 0)


def test_the_replies_are_the_servers(day: tuple[Finished, SandboxProcess]) -> None:
    """Forms and surveys are replies, private notes are none: the server's account is ours, and nothing is lost."""
    done, box = day
    replies = done.summary["replies"]
    assert replies["attempted"] == len(box.truth()) > 100
    assert replies["on_time"] == replies["attempted"]
    assert partition_holds(done.summary)
    assert desk_adds_up(done.summary)
    assert done.summary["counters"].get("desk.errands_left_out", 0) == 0
