from __future__ import annotations

import json
from dataclasses import replace

import pytest

from loadkit.report import arrivals, exports, page
from loadkit.report.charts import charts
from loadkit.report.plain import text
from loadkit.report.timeline import Timeline, timeline
from loadkit.results import reader, summary
from tests.report import build
from tests.report.flow import RATE, STAYS, Arrivals
from tests.report.reading import parse

# 60 s at four a second. Dropped: 3 + 1 + 1, two in each of 14 seconds, and two at the stop. Finished: of the first thirty seconds all
# but the five that were dropped, from second 40 on one a second.
OFFERED, DROPPED, FINISHED = 240, 35, 30 * RATE - 4 + 20
STARTED = OFFERED - DROPPED
CUT = STARTED - FINISHED
SUMS = (
    "240 arrivals offered = 205 started + 35 dropped (28 cap reached, 3 no idle user, 2 stopped, 1 generator late, 1 worker lost); "
    "205 started = 136 finished + 69 cut"
)


def _traces(made, plan, name):
    it = made(plan)
    return {trace["name"]: trace for trace in json.loads(charts(it.run, it.summary)[name].json)["data"]}


def _numbers(element):
    return [int(number.text.replace("\u202f", "")) for number in element.all("b")]


def test_the_sums_are_exact_and_stand_on_the_page(made):
    """Offered is started and dropped, started is finished and cut, dropped is its reasons with their shares."""
    document = parse(made(build.OPEN).html)
    assert _numbers(document.by_id("offered")) == [OFFERED, STARTED, DROPPED] == [240, 205, 35]
    assert _numbers(document.by_id("started")) == [STARTED, FINISHED, CUT] == [205, 136, 69]
    drops = document.by_class("drops")[0].rows()
    assert [row[:3] for row in drops] == [
        ["cap reached", "28", "11.67 %"],
        ["no idle user", "3", "1.25 %"],
        ["stopped", "2", "0.8333 %"],
        ["generator late", "1", "0.4167 %"],
        ["worker lost", "1", "0.4167 %"],
    ]
    assert all(row[3] for row in drops)
    assert ["from the intended start to the start", "2 ms", "2 ms", "2 ms"] in document.by_id("arrivals").rows()


@pytest.mark.parametrize("form", [lambda it: text(it.run, it.summary), lambda it: exports.markdown(it.run, it.summary)])
def test_text_and_comment_have_the_sums(made, form):
    """The same numbers in one line."""
    assert SUMS in form(made(build.OPEN))
    assert "offered" not in form(made(build.HEALTHY))


def test_a_closed_model_has_no_arrivals(made):
    """No heading, no chart, nothing counted as zero."""
    it = made(build.HEALTHY)
    assert arrivals.sums(it.summary) is None
    assert "arrival-rates" not in charts(it.run, it.summary)
    assert parse(it.html).by_id("arrivals").text.strip() == ""


def test_rates_over_time_sum_up_to_the_counts(made):
    """Three lines of rates a second; times the width of a point they are the sums, and the caption says how to read them."""
    it, traces = made(build.OPEN), _traces(made, build.OPEN, "arrival-rates")
    assert list(traces) == ["offered", "started", "finished"]
    seconds = len(timeline(it.run).spans)
    ends = [2 * middle for middle in traces["offered"]["x"]]
    widths = [3.0] * (seconds // 3) + ([seconds % 3] if seconds % 3 else [])
    assert ends[0] == 3
    for name, whole in (("offered", OFFERED), ("started", STARTED), ("finished", FINISHED)):
        assert sum(y * width for y, width in zip(traces[name]["y"], widths, strict=True)) == pytest.approx(whole)
    assert traces["offered"]["y"][:20] == [RATE] * 20
    assert traces["finished"]["y"][0] == 0
    assert traces["finished"]["y"][15] == 1
    caption = charts(it.run, it.summary)["arrival-rates"].caption
    assert "Offered above started" in caption
    assert "mean of 3 s" in caption
    assert "lost worker" in caption


@pytest.mark.parametrize(
    ("spans", "offered", "per_point"), [(60, 240, 3), (60, 6000, 1), (300, 300, 10), (300, 30, 15), (5, 1, 1), (1, 1, 1)]
)
def test_a_point_holds_ten_arrivals_unless_too_few_points_remain(spans, offered, per_point):
    """Chance does not hide the lines, and there are twenty points where there can be."""
    empty = Timeline(1.0, (None,) * spans)
    assert arrivals._spans_a_point(spans, offered) == per_point
    assert len(empty.middles_of(per_point)) == len(empty.rates("schedule.offered", per_point)) == -(-spans // per_point)
    assert set(empty.rates("schedule.offered", per_point)) == {None}


def test_holes_do_not_lower_a_rate(made):
    """Spans in which nothing was written do not count; a point of such spans alone is a gap."""
    run = made(build.OPEN).run
    kept = [span for span in run.bins if not 10 <= span.start_s < 20]
    time = timeline(reader.Run(run.folder, run.header, run.totals, kept, run.end))
    assert time.rates("schedule.offered", 4)[:6] == [4, 4, 4, None, None, 4]
    assert time.middles_of(4)[:2] == [2, 6]


def test_a_crashed_run_counts_who_was_inside(tmp_path):
    """Without a stop nobody is cut: who had started and not finished was inside, and the sums still add up."""
    plan = replace(build.CRASHED, seconds=20, arrivals=Arrivals(drops=((3, "cap_reached", 1),)))
    run = reader.read(build.build(tmp_path, plan))
    told = summary.summary_of(run)
    found = arrivals.sums(told)
    assert (found.offered, found.started, found.dropped, found.finished, found.cut) == (80, 79, 1, 39, 0)
    assert (found.waiting, found.inside) == (0, STAYS * RATE)
    document = parse(page.render(run, told))
    assert _numbers(document.by_id("started")) == [79, 39, 0, 40]
    assert "79 started = 39 finished + 0 cut + 40 inside when their process died" in text(run, told)


def test_arrivals_that_a_dead_process_kept_waiting_are_told(made):
    """Offered, and neither started nor dropped."""
    told = made(build.OPEN).summary
    told = told | {"counters": told["counters"] | {"schedule.offered": OFFERED + 2}}
    assert arrivals.sums(told).waiting == 2
    assert "+ 2 waiting when their process died" in arrivals.text(arrivals.sums(told))


def test_the_generators_own_drops_are_a_doubt_and_the_targets_are_not(made, tmp_path):
    """Three, one and one of 240 are above one in a hundred; a cap that is reached is the target's doing."""
    told = made(build.OPEN).summary
    assert [(reason["name"], round(reason["value"], 4)) for reason in told["validity"]["reasons"]] == [("schedule.dropped", 0.0208)]
    slow = replace(build.OPEN, arrivals=Arrivals(drops=tuple((second, "cap_reached", 4) for second in range(30, 59)), slow_from=20))
    assert summary.summary_of(reader.read(build.build(tmp_path, slow)))["validity"]["state"] == "valid"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (build.HEALTHY, "50 customers, 5 agents"),
        (build.OPEN, "arrivals poisson 4/s (at most 69 customers at once), 5 agents"),
        (replace(build.SHORT, name="staged", stages="2m:50,30m:50"), "stages 2m:50,30m:50 (at most 50 customers at once), 5 agents"),
    ],
    ids=["constant", "arrivals", "stages"],
)
def test_the_first_lines_say_the_model(made, plan, words):
    """Page, text and comment name what paced the load."""
    it = made(plan)
    assert words in parse(it.html).by_class("facts")[0].text
    assert words in text(it.run, it.summary).splitlines()[1]
    assert words in exports.markdown(it.run, it.summary)


def test_a_cap_far_above_the_customers_is_not_drawn(made, tmp_path):
    """It would flatten the line that matters; one that is near is drawn under its name."""
    assert list(_traces(made, build.OPEN, "customers")) == ["most at once", "present", "questions waiting"]
    run = reader.read(build.build(tmp_path, replace(build.OPEN, customers=1000)))
    drawn = json.loads(charts(run, summary.summary_of(run))["customers"].json)["data"]
    assert [trace["name"] for trace in drawn] == ["present", "questions waiting"]
