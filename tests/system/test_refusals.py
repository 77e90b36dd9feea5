"""What a person gave and cannot be used: one sentence, exit code 2, and not one request of load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.driver import SandboxProcess, run

BAD = [
    (["nosuch"], "no scenario 'nosuch'"),
    (["chatty", "--deadline", "5x"], "'5x' is not a duration"),
    (["chatty", "--threshold", "reply.speed p(99) < 1s"], "names no metric"),
    (["chatty", "--thresholds", "nosuch.txt"], "cannot be read"),
    (["chatty", "--inbox", "zzz"], "knows no inbox 'zzz'"),
    (["chatty", "--account", "99"], "does not belong to account 99"),
    (["chatty", "--host", "http://127.0.0.1:1"], "cannot be reached"),
    (["chatty", "--host", "http://example.com"], "--i-own-this-host example.com"),
    (["chatty", "--connections", "many"], "neither user, pool:N nor close"),
    (["chatty", "--stages", "2m:50,abc"], "stage 2, 'abc'"),
    (["chatty", "--arrivals", "2/x"], "--arrivals: "),
    (["chatty", "--arrivals", "2/s", "--stages", "1m:5"], "give one of them"),
    (["chatty", "--threshold", "http.mesage.create p(95) < 1s"], "did you mean message.create?"),
    (["chatty", "--threshold", "reply.refused.throtled count == 0"], "not as throtled"),
    (["chatty", "-u", "0"], "-u 0"),
    (["chatty", "-u", "-3"], "-u -3"),
    (["chatty", "-t", "0"], "-t 0"),
    (["chatty", "--agents", "999999999999"], "are more than 10000"),
    (["chatty", "--connections", "pool:²"], "neither user, pool:N nor close"),
    (["chatty", "--tags", "nope"], "--tags nope leaves Chatter without a task"),
    (["chatty", "--nosuchoption"], "unrecognized arguments"),
    (["chatty", "--junit", "."], "cannot be written: it is a folder"),
    (["chatty", "--markdown", "/proc/nowhere.md"], "/proc/nowhere.md cannot be written: "),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_a_bad_word_is_answered_by_a_sentence(arguments: list[str], sentence: str, sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Exit code 2, the sentence on stderr, no folder, no traceback."""
    done = run(tmp_path / "reports", *arguments, "--target", str(sandbox.target))
    assert done.code == 2, done.err
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert done.folder is None
    assert not sandbox.truth_file.exists() or not sandbox.truth()


TAGGED = """
from locust import TaskSet, events, tag, task
from loadkit.swarm import ContactUser, install

class Walk(TaskSet):
    @tag("short", "walk")
    @task
    def go(self):
        self.user.open_conversation()
        self.user.say()
        self.user.await_reply()
        self.interrupt()

class Walker(ContactUser):
    tasks = [Walk]

install(events)
"""


def test_tags_must_leave_tasks(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Excluding every task is refused, one worker or many; a tag that a task set's own task has is enough."""
    scenario = tmp_path / "tagged.py"
    scenario.write_text(TAGGED)
    load = ("--target", str(sandbox.target), "-u", "2", "-r", "2", "-t", "3s", "--quiet")
    refused = run(tmp_path / "reports", str(scenario), *load, "--exclude-tags", "short", "--processes", "2")
    assert (refused.code, refused.folder) == (2, None), refused.err
    assert "--exclude-tags short leaves Walker without a task" in refused.err
    done = run(tmp_path / "reports", str(scenario), *load, "--tags", "walk", "nope")
    assert done.code == 0, done.err
    assert done.summary["replies"]["attempted"] > 0


WRONG = {
    "plain": ("", "the scenario must call loadkit.swarm.install(events)"),
    "moment": ("install(events, cut_cables=['foo'])", "install(cut_cables=…): 'foo' is not a duration"),
    "twice": ("install(events)\ninstall(events)", "install(events) was called a second time"),
}


@pytest.mark.parametrize("options", [("--agents", "2"), ("--processes", "2"), ()], ids=" ".join)
@pytest.mark.parametrize(("end", "sentence"), WRONG.values(), ids=WRONG)
def test_a_scenario_must_install_itself_once_and_rightly(end: str, sentence: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """One sentence, exit code 2, whatever options are given, and not a task of it is run."""
    scenario, trace = tmp_path / "wrong.py", tmp_path / "trace"
    scenario.write_text(
        "from pathlib import Path\nfrom locust import User, events, task\nfrom loadkit.swarm import install\n\n"
        f"class One(User):\n    @task\n    def go(self):\n        Path({str(trace)!r}).touch()\n\n{end}\n"
    )
    done = run(tmp_path / "reports", str(scenario), "-u", "1", "-t", "2s", *options)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"loadkit: {sentence}")
    assert len(done.err.splitlines()) == 1
    assert not trace.exists()


def test_two_scenarios_of_plain_locust_are_one_too_many(tmp_path: Path) -> None:
    """`locust -f one.py,other.py`: which agents and thresholds would hold? One sentence, exit code 2."""
    files = ",".join(str(Path(__file__).parents[2] / "locustfiles" / name) for name in ("chatty.py", "soak.py"))
    command = [sys.executable, "-m", "locust", "-f", files, "--headless", "-t", "2s", "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "loadkit: install(events) was called a second time: a run has one scenario, and that imports no other\n"


def test_a_results_folder_that_cannot_be_made_is_told_before_any_load(sandbox: SandboxProcess) -> None:
    """Nothing would be left of the run."""
    done = run(Path("/proc/nowhere"), "chatty", "--target", str(sandbox.target))
    assert done.code == 2
    assert "results cannot be written to /proc/nowhere" in done.err
    assert "Traceback" not in done.err


def test_a_target_file_that_others_can_read_is_refused(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """A file with secrets must be its owner's alone."""
    sandbox.target.chmod(0o644)
    done = run(tmp_path / "reports", "chatty", "--target", str(sandbox.target))
    assert done.code == 2
    assert "chmod 600" in done.err


def test_a_cable_that_never_confirms_is_told_before_any_load(tmp_path: Path) -> None:
    """The first look subscribes as an agent once."""
    box = SandboxProcess(tmp_path, "--service", "none", "--fault", "never_confirm=on")
    try:
        done = run(tmp_path / "reports", "chatty", "--target", str(box.target))
    finally:
        box.stop()
    assert done.code == 2
    assert "never confirmed" in done.err


def test_a_wrong_hmac_key_is_named_by_the_report(tmp_path: Path) -> None:
    """The server answers 500 and nothing can be measured: void, with a hint, and without a traceback when the customers give up."""
    box = SandboxProcess(tmp_path, "--service", "none", "--hmac")
    try:
        lines = [line for line in box.target.read_text().splitlines() if not line.startswith("hmac_token")]
        box.target.write_text("\n".join([lines[0], 'hmac_token = "wrong"', *lines[1:]]))
        done = run(tmp_path / "reports", "chatty", "--target", str(box.target), "-u", "3", "-r", "3", "-t", "3s")
    finally:
        box.stop()
    assert done.code == 4
    assert "Traceback" not in done.err
    page = (done.folder / "report.html").read_text()
    assert "contact.create was answered 500 and never taken: most likely the hmac_token of the target is not this inbox&#39;s key." in page


def test_an_inbox_that_demands_hmac_wants_its_key(tmp_path: Path) -> None:
    """Without the key one sentence, with it a run."""
    box = SandboxProcess(tmp_path, "--service", "none", "--hmac")
    try:
        text = box.target.read_text()
        keyless = tmp_path / "keyless.toml"
        keyless.write_text("\n".join(line for line in text.splitlines() if not line.startswith("hmac_token")))
        keyless.chmod(0o600)
        refused = run(tmp_path / "reports", "chatty", "--target", str(keyless))
        assert refused.code == 2
        assert "demands HMAC" in refused.err
        done = run(tmp_path / "reports", "chatty", "--target", str(box.target), "-u", "3", "-r", "3", "-t", "6s", "--quiet")
    finally:
        box.stop()
    assert done.code == 0, done.err


@pytest.mark.parametrize("option", ["--version", "--show-task-ratio"])
def test_who_only_asks_is_answered(option: str, sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Locust tells, and no run is missed."""
    done = run(tmp_path / "reports", "chatty", option, "--target", str(sandbox.target))
    assert (done.code, done.folder) == (0, None), done.err
