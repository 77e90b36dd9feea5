"""A target that dies, or that falls silent, in mid-run: the hints say so first, and blame neither agents nor generator."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from loadkit.report.advice import advice
from loadkit.results.reader import read
from tests.support import eventually
from tests.system.driver import PUT_FAULT, SCENARIO, Finished, SandboxProcess, finish, goes_on, has_replies, partition_holds, start

REQUEST_TIMEOUT = 60.0
"""Seconds after which loadkit gives up a request."""


def hints(done: Finished) -> list[str]:
    """Return what the report tells to look at next."""
    assert done.folder is not None, done.err
    return [hint.text for hint in advice(read(done.folder), done.summary)]


def ended(folder: Path, customers: int, harm: Callable[[SandboxProcess], object], intervals: int) -> Finished:
    """Run, harm the target as soon as it has replied, go on for so many intervals, stop."""
    box, results, load = SandboxProcess(folder, "--service", "none"), folder / "reports", ("-u", str(customers), "-r", str(customers))
    try:
        process = start(results, str(SCENARIO), "--target", str(box.target), *load, "-t", "60s", "--lost-after", "5s")
        eventually(lambda: has_replies(results), within=120)
        harm(box)
        goes_on(results, intervals)
        process.send_signal(signal.SIGTERM)
        return finish(results, process)
    finally:
        box.stop()


def swallow(box: SandboxProcess) -> None:
    """Make a black hole of the sandbox."""
    subprocess.run([sys.executable, "-c", PUT_FAULT, box.first["control"], '{"black_hole": "on"}'], check=True, timeout=20)


def test_a_target_that_is_killed_is_named_before_anything_else(tmp_path: Path) -> None:
    """Nobody listens any more: the first hint, since when, and how much met it. That cables are missing is not the generator's doing."""
    done = ended(tmp_path, 9, lambda box: box.process.kill(), 6)
    first, *others = hints(done)
    assert " after the start on the target answered nothing more: " in first
    assert first.endswith(" could not reach it (Connection refused).")
    assert not [text for text in others if "agents" in text]
    counters = done.summary["counters"]
    assert counters["cable.missing_seconds"] > 0.02 * counters["cable.wanted_seconds"]
    assert "cable.missing" not in [reason["name"] for reason in done.summary["validity"]["reasons"]]
    assert partition_holds(done.summary)


def test_a_target_that_falls_silent_is_named_and_holds_no_drain(tmp_path: Path) -> None:
    """Requests hang, and lists too: what nobody can tell stays undetermined. The end waits for no request as long as that may take."""
    done = ended(tmp_path, 24, swallow, 9)
    first, *others = hints(done)
    assert first.startswith("No answer came from the target later than ")
    assert [text for text in others if "undetermined: " in text and text.endswith("message list could not be read either.")]
    assert done.summary["counters"]["reply.unread"] == done.summary["replies"]["undetermined"] > 0
    assert not [text for text in others if "agents" in text or "--drain" in text]
    assert done.summary["run"]["drain_seconds"] < REQUEST_TIMEOUT
    assert partition_holds(done.summary)
