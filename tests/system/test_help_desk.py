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


def test_the_replies_are_the_servers(day: tuple[Finished, SandboxProcess]) -> None:
    """Forms and surveys are replies, private notes are none: the server's account is ours, and nothing is lost."""
    done, box = day
    replies = done.summary["replies"]
    assert replies["attempted"] == len(box.truth()) > 100
    assert replies["on_time"] == replies["attempted"]
    assert partition_holds(done.summary)
    assert desk_adds_up(done.summary)
    assert done.summary["counters"].get("desk.errands_left_out", 0) == 0
