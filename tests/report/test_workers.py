from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from junitparser import JUnitXml

from loadkit.measure.recorder import Totals
from loadkit.report import exports, page, tables, workers
from loadkit.report.plain import text
from loadkit.results import reader, summary
from loadkit.results.format import End, WorkerEnd
from loadkit.results.reader import Run
from tests.report import build
from tests.report.reading import parse

LOST = "worker 1 (host-b_fa20ce) was lost at 2026-01-02T03:04:45Z: it sent no heartbeat for three seconds"


def _ended(tmp_path, *ends: WorkerEnd) -> tuple[Run, dict]:
    """A run without a sample whose workers ended so, with its summary."""
    totals = Totals()
    totals.counters = {"reply.attempted": 10, "reply.on_time": 10}
    run = Run(tmp_path, build.header(build.HEALTHY, 0), totals, [], End(ended_by="time", seconds=60.0, workers=list(ends)))
    return run, summary.summary_of(run)


def test_the_page_has_a_row_a_worker_that_adds_up(made):
    """Each worker with its name and what became of it; replies and undetermined of all are the run's."""
    it = made(build.TWO_WORKERS)
    rows = parse(it.html).by_id("workers").rows()
    assert [row[:2] for row in rows] == [
        ["0 host-a_3f09c1", "finished"],
        ["1 host-b_fa20ce", f"✗ lost since 2026-01-02T03:04:45Z: {build.SILENT}"],
    ]
    assert sum(int(row[2]) for row in rows) == it.summary["replies"]["attempted"]
    assert [int(row[3]) for row in rows] == [0, it.summary["replies"]["undetermined"]] == [0, it.run.undecided]
    assert it.run.undecided > 0
    assert [row[-2:] for row in rows] == [["25", "25"]] * 2


def test_a_single_process_that_finished_has_no_table(made):
    """There is nothing to tell apart."""
    assert not parse(made(build.HEALTHY).html).by_id("workers").all("table")


def test_a_single_process_that_died_has_its_row(made):
    """A crash leaves a row that says so."""
    (row,) = parse(made(build.CRASHED).html).by_id("workers").rows()
    assert row[:2] == ["0", "✗ lost"]


def test_what_became_of_a_worker_is_told_whole(tmp_path):
    """Left with its reason, silences, intervals that never came, one of them or more."""
    _, told = _ended(
        tmp_path,
        WorkerEnd(worker=0, name="a_1", state="left", since="2026-01-02T03:04:30Z", reason="it quit", missed=1),
        WorkerEnd(worker=1, name="b_2", silences=["from 2026-01-02T03:04:10Z to 2026-01-02T03:04:16Z"], missed=2),
    )
    assert [row[1] for row in workers.table(told).rows] == [
        "left since 2026-01-02T03:04:30Z: it quit; 1 interval never came",
        "finished; silent from 2026-01-02T03:04:10Z to 2026-01-02T03:04:16Z; 2 intervals never came",
    ]
    assert [row[4:] for row in workers.table(told).rows] == [("–",) * 5] * 2


def test_a_lost_worker_is_a_doubt_at_the_top(made):
    """It stands with the doubts that have a limit, and without one; it does not void the run."""
    it = made(build.TWO_WORKERS)
    assert it.summary["validity"]["state"] == "suspect"
    doubts = next(table for table in parse(it.html).all("table") if table.all("th")[0].text == "doubt")
    first, second = doubts.rows()
    assert first[0].startswith(LOST)
    assert "what it did after its last report is counted nowhere" in first[0]
    assert first[1:] == ["–", "–"]
    assert second[2] == "0.1 %"


def test_doubts_without_any_limit_are_a_list(tmp_path):
    """Where no doubt has a limit there are no columns for it."""
    _, told = _ended(
        tmp_path, WorkerEnd(worker=0, name="a", state="lost", reason="it quit without a word"), WorkerEnd(worker=1, name="b", missed=3)
    )
    table = tables.reasons(told)
    assert table.heads == ("doubt",)
    assert [row[0].split(")")[0] for row in table.rows] == ["worker 0 (a", "3 intervals of worker 1 (b"]


def test_a_void_run_speaks_its_own_reason_and_keeps_its_doubts(tmp_path):
    """The banner tells what voids it, not the lost workers; they stand below."""
    run, _ = _ended(tmp_path)
    end = End(
        ended_by="time", seconds=60.0, faults={"workers": "every worker was lost"}, workers=[WorkerEnd(worker=0, name="a", state="lost")]
    )
    run = Run(tmp_path, run.header, run.totals, [], end)
    told = summary.summary_of(run)
    document = parse(page.render(run, told))
    assert document.by_class("sentence")[0].text == "Every worker was lost."
    assert [row[0].split(")")[0] for row in tables.reasons(told).rows] == ["worker 0 (a"]
    assert "- worker 0 (a) was lost" in exports.markdown(run, told)
    assert "doubt: worker 0 (a) was lost" in text(run, told)


def test_happenings_of_workers_stand_among_the_notes(made):
    """When a worker was missed is in the notes, with the time at which that was noticed."""
    rows = parse(made(build.TWO_WORKERS).html).by_id("settings").rows()
    assert [text for _, text in (row for row in rows if len(row) == 2) if text.startswith("worker ")] == [
        f"worker 1 (host-b_fa20ce) is lost since 2026-01-02T03:04:45Z: {build.SILENT}"
    ]


def test_workers_are_noted_however_many_other_notes_there_are(tmp_path):
    """The notes that are shown are in the order of time, and no flood of notes hides a worker."""
    run, told = _ended(tmp_path)
    notes = [{"kind": "note", "at_us": n, "text": f"note {n}"} for n in range(60)]
    run.events = [*notes, {"kind": "worker", "at_us": 3, "text": "worker 1 (b) joined late"}]
    shown = parse(page.render(run, told)).by_id("settings").rows()
    texts = [row[1] for row in shown if "note" in row[1] or "joined" in row[1]]
    assert texts[:5] == ["note 0", "note 1", "note 2", "worker 1 (b) joined late", "note 3"]
    assert len([text for text in texts if text.startswith("note ")]) == 24


@pytest.mark.parametrize(("plan", "shown"), [(build.TWO_WORKERS, True), (build.HEALTHY, False)], ids=["lost", "healthy"])
def test_markdown_has_the_workers_only_where_one_had_trouble(made, plan, shown):
    """A review comment is short: workers that finished are not in it."""
    it = made(plan)
    assert ("| `1 host-b_fa20ce` | ✗ lost since" in exports.markdown(it.run, it.summary)) is shown
    assert ("| worker |" in exports.markdown(it.run, it.summary)) is shown


def test_two_healthy_workers_are_on_the_page_and_not_in_the_comment(tmp_path):
    """The page tells workers apart, the review comment does not."""
    run, told = _ended(tmp_path, WorkerEnd(worker=0, name="a"), WorkerEnd(worker=1, name="b"))
    assert [row[1] for row in workers.table(told).rows] == ["finished"] * 2
    assert "| worker |" not in exports.markdown(run, told)


def test_many_lost_workers_do_not_flood_a_terminal_or_a_comment(tmp_path):
    """The first few are told and the others counted; JUnit and the page have all, a line each."""
    run, told = _ended(tmp_path, *(WorkerEnd(worker=n, name=f"w{n}", state="lost") for n in range(30)))
    lines = [line for line in text(run, told).splitlines() if line.startswith("doubt: ")]
    assert len(lines) == 4
    assert lines[-1] == "doubt: and 27 further doubts"
    assert "- and 21 further doubts" in exports.markdown(run, told)
    (suite,) = JUnitXml.fromstring(exports.junit(told).encode())
    case = next(case for case in suite if case.name == "validity")
    assert not case.result
    assert len(case.system_out.splitlines()) == len(tables.reasons(told).rows) == 30


def test_csv_has_a_row_a_worker_equal_to_the_summary(made, tmp_path):
    """Numbers are the summary's; what is None is empty."""
    it = made(build.TWO_WORKERS)
    exports.write_csv(it.run, it.summary, tmp_path)
    frame = pd.read_csv(tmp_path / "workers.csv", keep_default_na=False)
    assert len(frame) == 2
    for row, worker in zip(frame.to_dict("records"), it.summary["workers"], strict=True):
        assert row | {"silences": []} == {name: "" if value is None else value for name, value in worker.items()}


def test_a_lost_worker_leaves_undetermined_replies_that_no_drain_would_help(made):
    """The hint names the worker and does not ask for a longer drain."""
    document = parse(made(build.TWO_WORKERS).html)
    assert "1 worker was lost" in document.by_id("next").text
    assert "--drain" not in document.by_id("next").text


def test_a_worker_that_was_killed_without_a_reply_is_shown(tmp_path):
    """The process count of the header is the page's, whatever came of them."""
    folder = build.build(tmp_path, replace(build.TWO_WORKERS, workers=(("a", None), ("b", 0)), seconds=10))
    run = reader.read(folder)
    told = summary.summary_of(run)
    assert [(row["worker"], row["replies"]) for row in told["workers"]][1] == (1, 0)
    assert "2 processes" in parse(page.render(run, told)).by_class("facts")[0].text
