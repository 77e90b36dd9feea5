"""A generator that stands still while replies arrive: no stamp that calls itself exact is wrong by the standstill, and the run says so."""

from __future__ import annotations

import os
import signal
import sys
from typing import NamedTuple

import pytest
import websocket

from loadkit import clock
from tests.support import eventually
from tests.system.driver import Finished, SandboxProcess, child_of, finish, goes_on, has_replies, start

pytestmark = pytest.mark.alone  # on a busy machine the generator also stands still where nobody stopped it

FREEZE_US = 2_000_000
# Two questions, then silence until both replies are there: nothing of the customer's own can queue behind its replies.
PAIRS = """
from locust import events, task
from loadkit import constant, uniform
from loadkit.swarm import Agent, ContactUser, install

class Patient(ContactUser):
    wait_time = uniform("0s", "1s")

    def on_start(self):
        self.open_conversation()

    @task
    def ask(self):
        self.say()
        self.say()
        self.await_reply(within="30s")

class Prompt(Agent):
    thinks = constant("0s")

install(events, agents=Prompt)
"""


class Frozen(NamedTuple):
    """A run whose generator was stopped from `since_us` to `until_us` (Unix), and when the server wrote each reply to its customer."""

    done: Finished
    written: dict[str, int]
    since_us: int
    until_us: int


def await_ping(host: str) -> None:
    """Return just after the server has pinged all cables: for three seconds no ping will queue behind a reply."""
    cable = websocket.create_connection("ws" + host.removeprefix("http") + "/cable", subprotocols=["actioncable-v1-json"], timeout=10)
    while '"ping"' not in cable.recv():
        pass
    cable.close()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Frozen:
    """Every reply's frame is held for a second, so that whenever the generator stops, a second's worth of them is still to come."""
    folder = tmp_path_factory.mktemp("frozen")
    box = SandboxProcess(folder, "--service", "none", "--fault", "delay=100%:1s")
    results, scenario = folder / "reports", folder / "pairs.py"
    scenario.write_text(PAIRS)
    try:
        process = start(
            results, str(scenario), "--target", str(box.target), "-u", "30", "-r", "30", "-t", "60s", "--log-deliveries", "--quiet",
        )  # fmt: skip
        eventually(lambda: has_replies(results), within=120)
        child = child_of(process.pid)
        await_ping(box.first["host"])
        os.kill(child, signal.SIGSTOP)
        since_us = clock.unix_us()
        try:
            eventually(lambda: clock.unix_us() - since_us >= FREEZE_US, within=10)
        finally:
            os.kill(child, signal.SIGCONT)
        until_us = clock.unix_us()
        goes_on(results, 2)  # what waited is read
        process.send_signal(signal.SIGTERM)
        done = finish(results, process)
    finally:
        box.stop()
    rows = done.deliveries
    written = {
        marker: copy["unix_us"]
        for marker, line in box.truth().items()
        for copy in line["written"]
        if copy["to"] == rows[marker]["subscription"]
    }
    return Frozen(done, written, since_us, until_us)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no stamp is the kernel's, and none is called exact")
def test_exact_stamps_are_right_across_a_standstill(frozen: Frozen) -> None:
    """Frames that waited for the generator bear the moment they arrived, not the one in which they were read."""
    rows = frozen.done.deliveries
    exact = {marker: int(row["received"]) for marker, row in rows.items() if row["quality"] == "exact"}
    wrong = {
        marker: us - frozen.written[marker]
        for marker, us in exact.items()
        if not -FREEZE_US / 2 < us - frozen.written[marker] < FREEZE_US / 2
    }
    assert wrong == {}
    early = [marker for marker in exact if frozen.since_us < frozen.written[marker] < frozen.until_us - FREEZE_US / 4]
    assert len(early) >= 5
    assert [marker for marker in early if exact[marker] >= frozen.until_us] == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no stamp is the kernel's, and none is called exact")
def test_stamps_that_cannot_be_exact_say_so(frozen: Frozen) -> None:
    """Of several frames that waited on one cable only the last is called exact; every delivered reply says which it is."""
    rows = frozen.done.deliveries
    waited = [row for marker, row in rows.items() if frozen.since_us < frozen.written.get(marker, 0) < frozen.until_us]
    assert {row["quality"] for row in rows.values() if row["received"]} <= {"exact", "bounded", "user_space"}
    assert sum(row["quality"] == "bounded" for row in waited) >= 5
    for row in waited:
        others = [other for other in waited if other["subscription"] == row["subscription"] and other["received"] == row["received"]]
        assert sum(other["quality"] == "exact" for other in others) <= 1
    response = frozen.done.summary["metrics"]["reply.response"]
    assert response["bounded"] == sum(row["quality"] == "bounded" for row in rows.values())
    assert response["exact"] == sum(row["quality"] == "exact" for row in rows.values())


def test_a_standstill_makes_the_run_suspect(frozen: Frozen) -> None:
    """The generator's lag is named as the reason, and the replies that waited are neither lost nor missing."""
    summary = frozen.done.summary
    assert summary["validity"]["state"] in ("suspect", "void")
    assert [reason for reason in summary["validity"]["reasons"] if reason["name"].startswith("generator.lag")]
    assert frozen.written.keys() == {marker for marker, row in frozen.done.deliveries.items() if row["received"]}
    assert summary["replies"]["lost"] == 0
