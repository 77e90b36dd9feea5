"""Where the time went, on the page and in plain text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Totals
from loadkit.report import stages
from loadkit.report.drawing import ms_text
from loadkit.report.plain import text
from loadkit.results import stages as of_run
from tests.report import build
from tests.report.reading import parse


def test_the_stages_add_up_to_the_mean_response(made):
    """Shares make one, the parts make the mean response, and the page shows them in their order."""
    it = made(build.HEALTHY)
    rows = it.summary["stages"]
    assert [(row["name"], row["basis"]) for row in rows] == [("lag", "observed"), ("before_save", "inferred"), ("after_save", "inferred")]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert sum(row["mean_ms"] for row in rows) == pytest.approx(it.summary["metrics"]["reply.response"]["mean"], abs=0.01)
    lag, before = (ms_text(row["mean_ms"]) for row in rows[:2])
    uncertain_ms = it.summary["server_clock"]["uncertainty_ms"]
    assert rows[2]["mean_ms"] < uncertain_ms < rows[1]["mean_ms"]
    shown = [bold.text for bold in parse(it.html).by_id("stages").all("b")]
    assert shown == [lag, f"{before} ± {ms_text(uncertain_ms)}", f"< {ms_text(rows[2]['mean_ms'] + uncertain_ms)}"]


def test_every_stage_says_how_it_is_known(made):
    """Observed, or inferred within so much; what is observed beside them stands below."""
    it = made(build.HEALTHY)
    rows = {row[0]: row for row in parse(it.html).by_id("where").rows() if (row[2:] and "observed" in row[2]) or "inferred" in row[2]}
    inferred = f"inferred, ± {ms_text(it.summary['server_clock']['uncertainty_ms'])}"
    shown = [rows[name][2] for name in ("waited to be sent", "until it was saved", "from then on", "reply.post")]
    assert shown == ["observed", inferred, inferred, "observed"]
    assert "a reply on average: " in text(it.run, it.summary)


def test_a_run_without_moments_of_saving_says_so(made):
    """An older server whose frames do not tell: no bar, no invented stage, one sentence."""
    it = made(replace(build.HEALTHY, name="untold", tells_saving=False))
    assert stages.parts(it.summary) == []
    assert [row["mean_ms"] for row in it.summary["stages"]] == [None, None, None]
    assert "cannot be told: their frames do not tell when they were saved." in stages.trust(it.summary)
    assert stages.trust(it.summary) in it.html
    assert "a reply on average" not in text(it.run, it.summary)


def test_a_process_that_died_is_why_its_replies_have_no_stages(made):
    """What is reckoned half a minute later is lost with its process, and no server is blamed for that; contradictions are told apart."""
    it = made(build.CRASHED)
    came, placed = it.summary["metrics"]["reply.delivery"]["count"], it.summary["server_clock"]["replies"]
    assert f"The stages of {came - placed} replies cannot be told: the process that saw them died" in stages.trust(it.summary)
    told = stages.trust(it.summary | {"server_clock": it.summary["server_clock"] | {"contradicted": 1}})
    assert "The stages of 1 reply cannot be told: their moments of saving contradict" in told
    assert f"The stages of {came - placed - 1} replies cannot be told: the process" in told


def test_too_few_placed_replies_are_not_added_up(made):
    """Where a twentieth of the replies could not be placed, the means are of different replies: no bar, and a sentence says why."""
    run = made(build.HEALTHY).run
    came, placed = run.totals.histograms["reply.response"], run.totals.histograms["reply.before_save"]
    assert placed.count == came.count
    few = Totals()
    few.histograms = run.totals.histograms | {"reply.before_save": Histogram(), "clock.uncertainty": Histogram()}
    few.counters = {"clock.contradicted": came.count - round(0.94 * came.count)}
    for _ in range(round(0.94 * came.count)):
        few.histograms["reply.before_save"].record(1000)
        few.histograms["clock.uncertainty"].record(1000)
    told = made(build.HEALTHY).summary | {"stages": of_run.stages(few), "server_clock": of_run.server_clock(few)}
    assert stages.parts(told) == []
    assert f"The stages of {few.counters['clock.contradicted']} replies cannot be told: their moments of saving contradict" in stages.trust(
        told
    )


def test_the_stage_that_took_most_is_named_only_if_it_is_known(made):
    """In a saturated run replies wait to be sent; where all is within what is uncertain, no stage is named."""
    found = stages.slowest_stage(made(build.SATURATED).summary)
    assert found is not None
    assert found[0] == "lag"
    assert found[1] > 0.5
    inferred = {"name": "before_save", "share": 0.9, "mean_ms": 100.0}
    assert stages.slowest_stage({"stages": [inferred | {"uncertainty_ms": 50.0}]}) == ("before_save", 0.9)
    assert stages.slowest_stage({"stages": [inferred | {"uncertainty_ms": 51.0}]}) is None
