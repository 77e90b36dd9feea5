from __future__ import annotations

import argparse
import html
import json
import shutil
import subprocess
import sys

import pytest
from junitparser import JUnitXml

from loadkit.cli import report
from loadkit.results import reader, summary
from tests.report import build
from tests.report.reading import parse


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the faulty run that a test may write into."""
    return shutil.copytree(made(build.FAULTY).folder, tmp_path / "run")


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    report.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["report", *map(str, arguments)])
    return args.run(args)


@pytest.mark.parametrize(
    ("plan", "code"),
    [(build.HEALTHY, 0), (build.SUSPECT, 0), (build.FAULTY, 3), (build.VOID, 4), (build.CRASHED, 4)],
    ids=lambda value: getattr(value, "name", None),
)
def test_it_exits_with_the_runs_own_code(made, tmp_path, plan, code):
    """Whatever form is asked for, the exit code is the run's."""
    assert command(made(plan).folder, "--html", tmp_path / "page.html") == code
    assert command(made(plan).folder, "--csv", tmp_path / "csv") == code


def test_without_options_it_writes_the_page_and_prints_its_path(folder, capsys):
    """The page lies in the run's folder; stdout has a summary in words and the path as its last line."""
    assert command(folder / "run.json") == 3
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("failed (valid), exit code 3: ")
    assert out[-1] == str(folder / "report.html")
    assert parse((folder / "report.html").read_text(encoding="utf-8")).all("figure")


def test_json_is_exactly_the_summary(folder, capsys):
    """stdout carries the contract's JSON and nothing else, the same that the run itself wrote."""
    assert command(folder, "--json", "--junit", folder / "out" / "junit.xml") == 3
    told = json.loads(capsys.readouterr().out)
    assert told == summary.summary_of(reader.read(folder)) == json.loads((folder / "summary.json").read_bytes())
    assert (folder / "out" / "junit.xml").exists()
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("option", ["--markdown", "--junit"])
def test_a_dash_means_stdout_alone(folder, capsys, option):
    """Nothing but the form that was asked for is on stdout."""
    assert command(folder, option, "-") == 3
    out = capsys.readouterr().out
    assert out.startswith("## loadkit" if option == "--markdown" else "<?xml")
    if option == "--junit":
        assert len(list(JUnitXml.fromstring(out.encode()))) == 1


def test_only_one_form_can_have_stdout(folder, capsys):
    """Two forms on one stdout would be neither."""
    assert command(folder, "--json", "--markdown", "-") == 2
    assert capsys.readouterr().out == ""


def test_other_thresholds_judge_again(folder, tmp_path, capsys):
    """The lines of a file replace the run's own; comments say nothing; the folder's summary stays the run's own."""
    lines = tmp_path / "thresholds.txt"
    lines.write_text("# promised\nreply.lost rate < 50%   # generous\n", encoding="utf-8")
    before = (folder / "summary.json").read_bytes()
    assert command(folder, "--json", "--thresholds", lines) == 0
    assert [row["text"] for row in json.loads(capsys.readouterr().out)["thresholds"]] == ["reply.lost rate < 50%"]
    assert (folder / "summary.json").read_bytes() == before


OTHERS = "Judged by other thresholds than the run's own."


def test_other_thresholds_leave_the_runs_page_alone(folder, tmp_path, capsys):
    """What would be is told; the page stays the run's own, and one that is asked for says whose verdict it shows, as Markdown does."""
    assert command(folder) == 3
    own = (folder / "report.html").read_text(encoding="utf-8")
    assert OTHERS not in own + capsys.readouterr().out
    lines, page, note = tmp_path / "thresholds.txt", tmp_path / "page.html", tmp_path / "note.md"
    lines.write_text("reply.lost rate < 50%\n", encoding="utf-8")
    assert command(folder, "--thresholds", lines) == 0
    out = capsys.readouterr().out.splitlines()
    assert OTHERS in out[0]
    assert out[-1] == "the run's own page is left as it is; --html FILE makes one of this judgement"
    assert (folder / "report.html").read_text(encoding="utf-8") == own
    assert command(folder, "--thresholds", lines, "--html", page, "--markdown", note) == 0
    assert all(OTHERS in html.unescape(path.read_text(encoding="utf-8")) for path in (page, note))


def test_a_missing_summary_is_written(made, tmp_path, capsys):
    """A process that died left none: the command writes it, by the run's own thresholds."""
    folder = shutil.copytree(made(build.CRASHED).folder, tmp_path / "run")
    lines = tmp_path / "thresholds.txt"
    lines.write_text("reply.lost rate < 50%\n", encoding="utf-8")
    assert command(folder, "--json", "--thresholds", lines) == 4
    kept = json.loads((folder / "summary.json").read_bytes())
    assert [row["text"] for row in kept["thresholds"]] == list(build.THRESHOLDS)
    assert kept["run"]["ended_by"] == "crash"


def _newer(folder):
    header = json.loads((folder / "run.json").read_bytes())
    (folder / "run.json").write_text(json.dumps(header | {"schema": 99}), encoding="utf-8")


def _torn(folder):
    (folder / "latency.hlog").write_text("", encoding="utf-8")


def _no_header(folder):
    (folder / "run.json").unlink()


def _not_json(folder):
    (folder / "run.json").write_text("{", encoding="utf-8")


def _foreign_line(folder):
    (folder / "intervals.jsonl").write_text('{"counters": []}\n', encoding="utf-8")


@pytest.mark.parametrize("spoil", [_newer, _torn, _no_header, _not_json, _foreign_line])
def test_what_is_no_run_is_told_in_one_sentence(folder, capsys, spoil):
    """Exit 2, one line on stderr, nothing on stdout."""
    spoil(folder)
    _refused(capsys, folder, "--json")


def _refused(capsys, *arguments) -> None:
    assert command(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert told.err.startswith("loadkit report: ")
    assert "Traceback" not in told.err


@pytest.mark.parametrize("option", ["--html", "--markdown", "--junit", "--csv"])
def test_an_unwritable_output_is_told_in_one_sentence(folder, capsys, option):
    """A path below a file cannot be made."""
    _refused(capsys, folder, option, folder / "run.json" / "below")


@pytest.mark.parametrize(
    "content",
    [
        "reply.response p(99) <",
        "no.such.metric count == 0",
        "http.mesage.create failed rate < 1%",
        "reply.refused.throtled count == 0",
        None,
        b"\xff\xfe",
    ],
)
def test_bad_thresholds_are_told_in_one_sentence(folder, tmp_path, capsys, content):
    """A line that cannot be read, an unknown metric, no file, no text."""
    path = tmp_path / "thresholds.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _refused(capsys, folder, "--thresholds", path)


def test_no_such_folder_is_told_in_one_sentence(tmp_path, capsys):
    """A name that is nothing."""
    _refused(capsys, tmp_path / "nowhere")


def test_the_command_line_loads_nothing_heavy_until_it_runs():
    """Importing the command, as `loadkit --help` does, loads neither pandas nor plotly nor jinja2."""
    code = "import sys, loadkit.cli.report; print([name for name in ('pandas', 'plotly', 'jinja2', 'rich') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
