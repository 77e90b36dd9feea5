"""Cables break the ways they break in production, in the middle of a run: by message id, every reply still has its end."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.support import eventually
from tests.system.driver import RAPID, Finished, SandboxProcess, desk_adds_up, finish, has_replies, partition_holds, run, start

CUSTOMERS, AGENTS = 20, 3
CABLES = CUSTOMERS + AGENTS
LOAD = ("-u", str(CUSTOMERS), "-r", str(CUSTOMERS), "--agents", str(AGENTS), "--lost-after", "10s", "--log-deliveries", "--quiet")

Order = tuple[str, str, dict[str, Any]]
CUT: Order = ("POST", "/cut", {})


def faults(**values: str) -> Order:
    """Return the order that switches faults on."""
    return "PUT", "/faults", values


def tell(box: SandboxProcess, method: str, path: str, value: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the control API."""
    data = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(box.first["control"] + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.loads(answer.read()))


def broken(box: SandboxProcess, results: Path, *orders: Order, lasts: str = "8s", options: tuple[str, ...] = ()) -> Finished:
    """Run, break something as soon as all are there and replies flow, and check what holds however it breaks."""
    process = start(results, str(RAPID), "--target", str(box.target), *LOAD, "-t", lasts, *options)
    eventually(lambda: tell(box, "GET", "/state")["subscriptions"] == CABLES and has_replies(results), within=120)
    for order in orders:
        tell(box, *order)
    done = finish(results, process)
    summary = done.summary
    assert summary["run"]["ended_by"] == "time"
    assert partition_holds(summary)
    assert desk_adds_up(summary)
    assert summary["replies"]["undetermined"] == 0
    truth = box.truth()
    assert truth.keys() == ends(done, "on_time", "late", "recovered", "lost")
    unwritten = {marker for marker, line in truth.items() if not line["written"]}
    assert ends(done, "recovered", "lost") == unwritten  # what the server never wrote came over HTTP or not at all, and nothing else did
    return done


def ends(done: Finished, *names: str) -> set[str]:
    """Return the markers of the replies that came to one of these ends."""
    return {marker for marker, row in done.deliveries.items() if row["end"] in names}


@pytest.mark.parametrize("path", ["/cut", "/close", "/restart"], ids=["TCP is cut", "a clean close", "the server restarts"])
def test_everybody_comes_back_and_reads_what_was_missed(sandbox: SandboxProcess, tmp_path: Path, path: str) -> None:
    """All sockets at once, without a word, with a close frame, or with Action Cable's goodbye: nothing is lost."""
    summary = broken(sandbox, tmp_path / "reports", ("POST", path, {})).summary
    assert summary["counters"]["cable.dropped"] == summary["metrics"]["cable.reconnect"]["count"] == CABLES
    assert summary["replies"]["lost"] == 0
    said = {"/cut": {"dropped_eof", "dropped_reset"}, "/close": {"dropped_closed_1001"}, "/restart": {"dropped_disconnect_server_restart"}}
    reasons = {error["kind"]: error["count"] for error in summary["errors"] if error["kind"].startswith("dropped_")}
    assert reasons.keys() <= said[path]


def test_those_told_not_to_come_back_read_in_the_end(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """A disconnect for good is obeyed, as the stock client does: what comes afterwards is read once, when the drain ends."""
    summary = broken(sandbox, tmp_path / "reports", ("POST", "/restart", {"reconnect": False}), lasts="12s").summary
    assert (summary["counters"]["cable.dropped"], summary["metrics"]["cable.reconnect"]["count"]) == (CABLES, 0)
    assert summary["counters"]["cable.away"] == CUSTOMERS
    assert summary["replies"]["lost"] == 0
    assert summary["replies"]["recovered"] > 0
    assert summary["counters"]["question.unseen"] > 0  # the agents do not come back either


def test_who_is_never_confirmed_tries_again(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Half the cables that come back hear pings and no confirmation: each is given up once, comes back, and reads what it missed."""
    done = broken(sandbox, tmp_path / "reports", faults(never_confirm=f"{CABLES // 2}of{CABLES}"), CUT, lasts="14s")
    summary = done.summary
    assert tell(sandbox, "GET", "/state")["touched"] == {"never_confirm": CABLES // 2}
    assert summary["counters"]["cable.unconfirmed"] == CABLES // 2
    assert summary["metrics"]["cable.reconnect"]["count"] == summary["counters"]["cable.dropped"] == CABLES
    assert summary["replies"]["lost"] == 0
    assert summary["replies"]["recovered"] > CABLES


@pytest.mark.parametrize("fault", [{"slow_accept": "30%:1s"}, {"slow_reader": "30%:200ms"}], ids=str)
def test_a_server_that_is_slow_with_some_delays_no_others(sandbox: SandboxProcess, tmp_path: Path, fault: dict[str, str]) -> None:
    """Three connections in ten, cables and requests alike, are accepted late or read in small pieces; the rest go on as before."""
    done = broken(sandbox, tmp_path / "reports", faults(**fault), CUT, options=("--connections", "close"))
    summary = done.summary
    assert done.code == 0, done.out  # slow is not failed
    assert summary["counters"]["cable.dropped"] == summary["metrics"]["cable.reconnect"]["count"] == CABLES
    assert summary["replies"]["lost"] == 0
    said = summary["metrics"]["http.message.create"]
    assert said["p95"] > 4 * max(said["p50"], summary["metrics"]["reply.delivery"]["p50"])


def test_a_frame_that_dribbles_arrives_and_delays_no_others(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Some frames take a second from their first byte to their last: they count when they are whole, other cables do not wait."""
    done = broken(sandbox, tmp_path / "reports", faults(dribble="10of200:1s"))
    truth, rows = sandbox.truth(), done.deliveries
    dribbled = {marker for marker, line in truth.items() if line["fault"] == "dribble"}
    assert len(dribbled) == 10
    assert rows.keys() == ends(done, "on_time", "late")
    slow = {rows[marker]["subscription"] for marker in dribbled}
    took = {marker: int(row["received"]) - int(row["sent"]) for marker, row in rows.items()}
    others = median(took[marker] for marker, row in rows.items() if row["subscription"] not in slow)
    assert median(took[marker] for marker in dribbled) > 4 * others


def test_a_black_hole_is_noticed_by_its_silence(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Some sockets stay open and say nothing any more, not even pings: they are given up, and what they swallowed is read over HTTP."""
    done = broken(sandbox, tmp_path / "reports", faults(black_hole="5of500"), lasts="14s")
    assert any(error["kind"] == "dropped_stale" for error in done.summary["errors"])
    assert done.summary["replies"]["recovered"] > 0


def test_what_a_deaf_server_does_not_send_is_lost(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Open, pinged and silent: nobody knows that anything is missing, so it is lost, to the message."""
    done = broken(sandbox, tmp_path / "reports", faults(deaf="on"), lasts="14s")
    lost = ends(done, "lost")
    assert lost == {marker for marker, line in sandbox.truth().items() if not line["written"]}
    assert lost


def test_a_reply_that_left_after_the_stop_may_be_lost_as_late_as_any(tmp_path: Path) -> None:
    """Due before the stop, sent after it, as the agent's one connection was busy, and dropped: the drain waits until it is lost."""
    box = SandboxProcess(tmp_path, "--service", "constant:150ms", "--fault", "drop=100%")
    options = ("-u", "8", "-r", "8", "-t", "5s", "--agents", "1", "--agent-connections", "1", "--lost-after", "5s", "--quiet")
    try:
        summary = run(tmp_path / "reports", str(RAPID), "--target", str(box.target), *options).summary
    finally:
        box.stop()
    assert summary["run"]["drain_seconds"] > 5.5
    assert summary["replies"]["lost"] == summary["replies"]["accepted"] == len(box.truth()) > 0


def test_the_drain_keeps_its_bound_whatever_hangs(tmp_path: Path) -> None:
    """The server freezes with requests under way and cables down: histories and lists hang too, and all of it is over with the drain."""
    box, results, drain = SandboxProcess(tmp_path, "--service", "none"), tmp_path / "reports", 6
    options = ("-u", "20", "-r", "20", "-t", "6s", "--lost-after", f"{drain}s", "--reconnect", "never", "--quiet")
    process = start(results, str(RAPID), "--target", str(box.target), *options)
    try:
        eventually(lambda: tell(box, "GET", "/state")["subscriptions"] > 20 and has_replies(results), within=120)
        tell(box, *CUT)
        box.process.send_signal(signal.SIGSTOP)
        done = finish(results, process, within=90)
    finally:
        box.process.send_signal(signal.SIGCONT)
        box.stop()
    assert done.summary["run"]["drain_seconds"] < 2 * drain
    assert partition_holds(done.summary)
    assert done.summary["replies"]["undetermined"] > 0  # their POSTs hung, and so did the agents' lists
