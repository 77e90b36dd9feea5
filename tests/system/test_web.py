"""Locust's web UI with loadkit: starts, stops, starts again; safe and without secrets."""

from __future__ import annotations

import json
import signal
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.driver import SandboxProcess, free_port, partition_holds, start


class Web:
    """The web UI of one `loadkit run --web`."""

    def __init__(self, results: Path, box: SandboxProcess, *options: str) -> None:
        self.results, port = results, free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = start(results, "chatty", "--target", str(box.target), "--web", "--web-port", str(port), *options)
        eventually(self.answers, within=30)

    def answers(self) -> bool:
        """Whether it serves its page."""
        try:
            return bool(self.page("/"))
        except urllib.error.URLError:
            return False

    def page(self, path: str) -> str:
        """Return a page's text."""
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return str(answer.read().decode())

    def swarm(self, **form: str) -> dict[str, object]:
        """Start from the form."""
        data = urllib.parse.urlencode({"user_count": "5", "spawn_rate": "5", **form}).encode()
        with urllib.request.urlopen(self.url + "/swarm", data, timeout=60) as answer:
            return dict(json.loads(answer.read()))

    def stop(self) -> None:
        """Press stop; it drains."""
        for method in ("POST", "GET"):  # Locust 2.43 knows only the second, newer ones only the first
            try:
                urllib.request.urlopen(urllib.request.Request(self.url + "/stop", method=method), timeout=60).close()
                return
            except urllib.error.HTTPError as error:
                if error.code != 405:
                    raise

    def replies(self, run: int) -> bool:
        """Whether the n-th run has written replies."""
        folders = sorted(self.results.iterdir()) if self.results.is_dir() else []
        file = folders[run] / "intervals.jsonl" if len(folders) > run else None
        return file is not None and file.is_file() and '"reply.on_time"' in file.read_text()


@pytest.fixture
def web(sandbox: SandboxProcess, tmp_path: Path) -> Iterator[Web]:
    web = Web(tmp_path / "reports", sandbox)
    yield web
    web.process.send_signal(signal.SIGTERM)
    web.process.communicate(timeout=40)


def test_two_runs_from_the_form_leave_two_clean_folders(web: Web, sandbox: SandboxProcess) -> None:
    """Start, stop, start, stop: each folder adds up by itself, and both together are what the server accepted."""
    for run in range(2):
        assert web.swarm(deadline=f"{run + 3}s")["success"]
        eventually(lambda run=run: web.replies(run), within=30)
        web.stop()
    eventually(lambda: len(list(web.results.glob("*/summary.json"))) == 2, within=20)
    folders = sorted(web.results.iterdir())
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    assert [json.loads((folder / "run.json").read_text())["settings"]["deadline"] for folder in folders] == [3.0, 4.0]
    assert all(map(partition_holds, summaries))
    assert [summary["run"]["ended_by"] for summary in summaries] == ["user", "user"]
    assert sum(summary["replies"]["accepted"] for summary in summaries) == len(sandbox.truth())


def test_stages_arrivals_and_a_plain_run_from_the_form(sandbox: SandboxProcess, tmp_path: Path) -> None:
    """Two workers, three runs in one process: each by its own model, ended by itself; a running one keeps its settings."""
    web = Web(tmp_path / "reports", sandbox, "--processes", "2")
    try:
        eventually(lambda: json.loads(web.page("/stats/requests"))["workers"][1:], within=30)
        for number, form in enumerate(
            [{"stages": "2s:4,3s:4"}, {"stages": "", "run_time": "4s"}, {"arrivals": "3/s", "run_time": "4s"}], 1
        ):
            eventually(lambda form=form: web.swarm(**form)["success"], within=20)
            assert "keeps its deadline" in str(web.swarm(deadline="2s")["message"])
            eventually(lambda number=number: len(list(web.results.glob("*/summary.json"))) == number, within=30)
    finally:
        web.process.send_signal(signal.SIGTERM)
        web.process.communicate(timeout=40)
    folders = sorted(web.results.iterdir())
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    settings = [json.loads((folder / "run.json").read_text())["settings"] for folder in folders]
    assert [summary["run"]["ended_by"] for summary in summaries] == ["time"] * 3
    assert [(one.get("stages"), one.get("arrivals"), one.get("run_time")) for one in settings] == [
        ("2s:4,3s:4", None, None),
        (None, None, 4),
        (None, "poisson 3/s", 4),
    ]
    assert all(map(partition_holds, summaries))
    assert sum(summary["replies"]["accepted"] for summary in summaries) == len(sandbox.truth())


def test_a_bad_field_is_a_sentence_in_the_form_and_no_load(web: Web) -> None:
    """What a command line would refuse the form refuses too."""
    answer = web.swarm(deadline="5x")
    assert answer["success"] is False
    assert "'5x' is not a duration" in str(answer["message"])
    assert not web.results.is_dir() or not list(web.results.iterdir())


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("agents", "999999999", "are more than 10000"),
        ("agents", "1" * 5000, "is not a whole number"),
        ("agents", "many", "is not a whole number"),
        ("seed", "x", "--seed 'x' is not a whole number"),
    ],
)
def test_a_field_that_is_no_number_of_ours_is_a_sentence(web: Web, field: str, value: str, sentence: str) -> None:
    """Absurdly many agents and what is no number at all: refused in the form."""
    answer = web.swarm(**{field: value})
    assert answer["success"] is False
    assert sentence in str(answer["message"])


def test_emptied_fields_count_as_not_given(web: Web) -> None:
    """Every field of ours that the form shows, and the host, without a text: the run has what a command line without them has."""
    emptied = ("seed", "account", "agents", "agent_connections", "deadline", "lost_after", "drain", "connections", "reconnect", "returning")
    assert web.swarm(**dict.fromkeys((*emptied, "label", "inbox", "threshold", "stages", "arrivals", "host", "run_time"), ""))["success"]
    eventually(lambda: web.replies(0), within=30)
    web.stop()
    header = json.loads(next(web.results.glob("*/run.json")).read_text())
    kept = {name: header["settings"][name] for name in ("agents", "seed", "deadline", "lost_after", "agent_connections", "reconnect")}
    assert kept == {"agents": 3, "seed": 1, "deadline": 5.0, "lost_after": 30.0, "agent_connections": 6, "reconnect": "immediate"}


def test_no_secret_is_in_any_page(web: Web, sandbox: SandboxProcess) -> None:
    """Tokens are in none of the pages that the UI serves, before and during a run; it listens on loopback alone."""
    secrets = tomllib.loads(sandbox.target.read_text())["agent_tokens"]
    assert web.swarm()["success"]
    eventually(lambda: web.replies(0), within=30)
    pages = [web.page(path) for path in ("/", "/stats/requests", "/stats/report", "/logs", "/exceptions", "/tasks")]
    web.stop()
    assert not [secret for secret in secrets for page in pages if secret in page]
    assert "--deadline" in pages[0] or "deadline" in pages[0]
    addresses = {row.split()[1] for row in Path(f"/proc/{web.process.pid}/net/tcp").read_text().splitlines() if row.split()[3] == "0A"}
    port = f"{int(web.url.rsplit(':', 1)[1]):04X}"
    assert {address for address in addresses if address.endswith(port)} == {f"0100007F:{port}"}
