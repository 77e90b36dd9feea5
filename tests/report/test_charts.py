from __future__ import annotations

import json

import pytest

from loadkit.measure.metrics import ENDS
from loadkit.report import axes
from loadkit.report.charts import charts
from loadkit.report.timeline import timeline
from tests.report import build


def _traces(made, plan, name):
    it = made(plan)
    return {trace["name"]: trace for trace in json.loads(charts(it.run, it.summary)[name].json)["data"] if "name" in trace}


def test_a_span_without_replies_is_a_gap_and_not_a_zero(made):
    """While nothing arrived the response has no value; nowhere is it zero."""
    column = _traces(made, build.FAULTY, "over-time")["response p50"]["y"]
    start, end = build.FAULTY.silent
    assert set(column[start + 1 : end - 1]) == {None}
    assert all(value is None or value > 0 for value in column)
    assert any(value is not None for value in column[end:])


def test_ends_over_time_add_up_to_the_summary_with_their_corrections(made):
    """Signed corrections are drawn below zero, so the sum of the bars is what the summary says; the caption explains them."""
    it, traces = made(build.FAULTY), _traces(made, build.FAULTY, "ends-over-time")
    for end in ENDS:
        drawn = traces.get(end.replace("_", " "), {"y": [0]})["y"]
        assert sum(n or 0 for n in drawn) == it.summary["replies"][end]
    assert min(traces["lost"]["y"]) < 0
    assert "below zero" in charts(it.run, it.summary)["ends-over-time"].caption


def test_the_curve_ends_with_the_slowest_reply(made):
    """The percentile curve goes from the quickest to the slowest and never falls."""
    it = made(build.SATURATED)
    for name in ("response", "delivery"):
        column = _traces(made, build.SATURATED, "curve")[name]["y"]
        assert column == sorted(column)
        assert column[-1] == it.summary["metrics"][f"reply.{name}"]["max"]


def test_response_lies_far_above_delivery_on_a_saturated_server(made):
    """At the end of a saturated run customers wait many times what delivery says."""
    traces = _traces(made, build.SATURATED, "over-time")
    last = build.SATURATED.seconds - 2
    assert traces["response p50"]["y"][last] > 10 * traces["delivery p50"]["y"][last]


def test_drops_are_drawn_and_explained(made):
    """Cables that ended are bars, in the spans in which they ended."""
    bars = _traces(made, build.FAULTY, "sockets")["dropped"]["y"]
    assert [n for n, count in enumerate(bars) if count] == list(build.FAULTY.drops)


def test_holes_between_bins_become_empty_spans(made):
    """A stretch in which nothing was written is there, as nothing."""
    run = made(build.HEALTHY).run
    kept = [span for span in run.bins if not 10 <= span.start_s < 20]
    time = timeline(type(run)(run.folder, run.header, run.totals, kept, run.end))
    assert [n for n, span in enumerate(time.spans) if span is None] == list(range(10, 20))
    assert time.counter("reply.on_time")[10:20] == time.gauge("customers")[10:20] == [None] * 10


def test_no_bins_draw_nothing(made):
    """A run that died before its first interval has a page without a line over time."""
    run = made(build.HEALTHY).run
    empty = type(run)(run.folder, run.header, type(run.totals)(), [], None)
    assert charts(empty, made(build.HEALTHY).summary) == {}


@pytest.mark.parametrize(("values", "log"), [([40.0, 70.0], False), ([40.0, 8000.0], True), ([], False), ([None, 5.0], False)])
def test_a_latency_axis_is_logarithmic_only_where_values_lie_far_apart(values, log):
    """Twenty times is far; a linear axis begins at nought."""
    axis = axes.latency_axis(values)
    assert (axis.get("type") == "log") is log
    assert log or axis["range"][0] == 0
    assert axis["ticktext"]


@pytest.mark.parametrize("seconds", [1, 59, 600, 7200, 86_400, 40 * 86_400])
def test_a_time_axis_has_few_round_ticks(seconds):
    """From a second to weeks: between two and nine ticks, each with its own text."""
    axis = axes.time_axis(seconds)
    assert 2 <= len(axis["tickvals"]) <= 9
    assert len(set(axis["ticktext"])) == len(axis["tickvals"])
