from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from junitparser import Error, Failure, JUnitXml

from loadkit.measure.metrics import ENDS, MARKS
from loadkit.report import exports
from loadkit.report.plain import text
from loadkit.results import reader, summary
from tests.report import build


def _suite(told):
    (suite,) = JUnitXml.fromstring(exports.junit(told).encode())
    return suite


def test_junit_has_a_case_a_threshold_and_one_for_validity(made):
    """Broken thresholds are failures that say the value; the suite has the scenario's name."""
    told = made(build.FAULTY).summary
    suite = _suite(told)
    assert (suite.name, suite.tests, suite.failures, suite.errors) == ("conversations", 4, 2, 0)
    cases = {case.name: case for case in suite}
    assert list(cases) == [*(row["text"] for row in told["thresholds"]), "validity"]
    (failure,) = cases["reply.lost rate < 0.1%"].result
    assert isinstance(failure, Failure)
    assert "1.1" in failure.message
    assert {item.name: item.value for item in suite.properties()} == {"verdict": "failed", "exit_code": "3"}


def test_junit_tells_how_long_the_run_took(made):
    """The suite and the whole say the same, which no sum of its cases would."""
    it = made(build.HEALTHY)
    document = JUnitXml.fromstring(exports.junit(it.summary).encode())
    assert document.time == next(iter(document)).time == it.summary["run"]["seconds"] > 0


def test_junit_of_a_void_run_is_an_error(made):
    """Validity is an error, and thresholds without data are failures that say so."""
    suite = _suite(made(build.VOID).summary)
    assert (suite.tests, suite.failures, suite.errors) == (4, 3, 1)
    cases = {case.name: case for case in suite}
    (error,) = cases["validity"].result
    assert isinstance(error, Error)
    assert "nothing was measured" in error.message
    assert all("no data" in case.result[0].message for name, case in cases.items() if name != "validity")


def test_junit_of_a_suspect_run_passes_and_says_so(made):
    """The case passes, its output has the reason."""
    suite = _suite(made(build.SUSPECT).summary)
    validity = next(case for case in suite if case.name == "validity")
    assert (suite.failures, suite.errors) == (0, 0)
    assert validity.system_out.startswith("suspect: the generator")


def test_junit_survives_text_that_xml_cannot_hold(tmp_path):
    """Control characters of a fault's text are replaced; the rest is escaped."""
    folder = build.build(tmp_path, replace(build.SHORT, faults={"listener": "died \x00\x1b[31m </testcase> & \ufffe"}))
    suite = _suite(summary.summary_of(reader.read(folder)))
    assert suite.errors == 1


def test_markdown_has_verdict_thresholds_headline_ends_and_errors(made):
    """What a reviewer needs, and the numbers of the summary."""
    it = made(build.FAULTY)
    page = exports.markdown(it.run, it.summary)
    assert page.startswith("## loadkit: failed (valid), exit code 3\n")
    for row in it.summary["thresholds"]:
        assert f"| `{row['text']}` |" in page
    replies = it.summary["replies"]
    assert f"**{replies['attempted']}** replies attempted = {replies['accepted']} accepted + {replies['refused']} refused" in page
    assert "| response |" in page
    assert "| delivery |" in page
    assert "`http_502`" in page


def test_copies_are_told_where_any_was_owed(made):
    """In the text and in Markdown alike, and nowhere where there was no further session."""
    it = made(build.HEALTHY)
    told = it.summary | {"copies": {"owed": 120, "seen": 119, "missing": 1}}
    for page in (text, exports.markdown):
        assert "further cop" not in page(it.run, it.summary)
        assert "120 further copies owed to verified contacts' other sessions = 119 seen + 1 missing" in page(it.run, told)


@pytest.mark.parametrize("plan", [build.HEALTHY, build.FAULTY, build.VOID, build.CRASHED, build.SUSPECT], ids=lambda plan: plan.name)
def test_markdown_tables_stay_whole_whatever_the_texts(made, plan):
    """Every row of a table has as many cells as its head; markup and mentions from outside appear only inside code."""
    it = made(plan)
    page = exports.markdown(it.run, it.summary)
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
    outside = re.sub(r"`[^`\n]*`", "", page)
    assert "<script" not in outside
    assert "@someone" not in outside


def test_csv_numbers_equal_the_summary(made, tmp_path):
    """Five files; each number is the one of the summary, and a series sums up to it."""
    it = made(build.FAULTY)
    paths = exports.write_csv(it.run, it.summary, tmp_path / "deep" / "csv")
    assert [path.name for path in paths] == ["latencies.csv", "series.csv", "errors.csv", "replies.csv", "workers.csv"]
    latencies, series, errors, replies, workers = (pd.read_csv(path) for path in paths)
    for row in latencies.to_dict("records"):
        for name, value in it.summary["metrics"][row["metric"]].items():
            assert row[name] == value or (value is None and pd.isna(row[name]))
    assert len(latencies) == len(it.summary["metrics"])
    assert list(errors["count"]) == [row["count"] for row in it.summary["errors"]]
    assert errors["example"][0] == it.summary["errors"][0]["example"]
    assert dict(zip(replies["name"], replies["count"], strict=True)) == it.summary["replies"]
    assert list(replies["name"]) == ["attempted", "accepted", *ENDS, *MARKS]
    assert list(workers["replies"]) == [it.summary["replies"]["attempted"]]
    assert len(series) == len(it.run.bins)
    for end in ("on_time", "late", "lost", "refused"):
        assert series[f"reply.{end}"].sum() == it.summary["replies"][end]
    assert series["reply.response.count"].sum() == it.summary["metrics"]["reply.response"]["count"]


def test_csv_leaves_empty_what_has_no_value(made, tmp_path):
    """A void run has empty percentiles and shares, not zeros."""
    it = made(build.VOID)
    paths = {path.stem: pd.read_csv(path) for path in exports.write_csv(it.run, it.summary, tmp_path)}
    response = paths["latencies"].set_index("metric").loc["reply.response"]
    assert response["count"] == 0
    assert response[["mean", "p50", "p99", "max"]].isna().all()
    assert paths["replies"]["share"].isna().all()


@pytest.mark.parametrize("plan", [build.HEALTHY, build.FAULTY, build.VOID, build.CRASHED], ids=lambda plan: plan.name)
def test_the_text_for_a_terminal_is_short_and_begins_with_the_verdict(made, plan):
    """Verdict, validity and exit code in the first line, the whole within a screen."""
    it = made(plan)
    lines = text(it.run, it.summary).splitlines()
    assert lines[0].startswith(f"{it.summary['verdict']} ({it.summary['validity']['state']}), exit code {it.summary['exit_code']}: ")
    assert len(lines) <= 24
