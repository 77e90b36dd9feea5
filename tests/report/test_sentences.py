from __future__ import annotations

import re
from pathlib import Path

import pytest

from loadkit.cli.progress import Progress
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Totals
from loadkit.measure.threshold import parse
from loadkit.report import exports, page, plain
from loadkit.report.sentences import believed, margin_text, untimed
from tests.report import build


def _totals(counters=None, *, ms=(), gauges=None) -> Totals:
    totals = Totals()
    totals.counters, totals.gauges = counters or {}, gauges or {}
    totals.histograms["reply.response"] = histogram = Histogram()
    for value in ms:
        histogram.record(value * 1000)
    return totals


def _refused(n: int) -> Totals:
    return _totals({"reply.attempted": 1000, "reply.refused": n})


def _dropped(n: int) -> Totals:
    return _totals({"cable.dropped": n})


def _open(n: float) -> Totals:
    return _totals(gauges={"cable.open": n})


@pytest.mark.parametrize(
    ("line", "totals", "passed", "margin"),
    [
        ("reply.response max < 800ms", _totals(ms=[200]), True, "25 % of the limit"),
        ("reply.response p(99) < 1s", _totals(ms=[1]), True, "<1 % of the limit"),
        ("reply.response p(99) < 800ms", _totals(ms=[799]), True, ">99 % of the limit"),
        ("reply.response max < 800ms", _totals(ms=[920]), False, "15 % over the limit"),
        ("reply.response p(50) < 800ms", _totals(ms=[802]), False, "<1 % over the limit"),
        ("reply.response p(50) < 80ms", _totals(ms=[159]), False, "99 % over the limit"),
        ("reply.response p(50) < 80ms", _totals(ms=[160]), False, "2 × the limit"),
        ("reply.response mean < 10ms", _totals(ms=[42]), False, "4.2 × the limit"),
        ("reply.response mean < 1ms", _totals(ms=[12345]), False, "12\u202f345 × the limit"),
        ("reply.response p(50) < 1s", _totals(), False, ""),
        ("reply.response count >= 4", _totals(ms=[5] * 3), False, "25 % below the minimum"),
        ("reply.response count >= 4", _totals(ms=[5] * 4), True, "at the minimum"),
        ("reply.response count > 4", _totals(ms=[5] * 4), False, "at the minimum"),
        ("reply.response count >= 4", _totals(ms=[5] * 5), True, "25 % above the minimum"),
        ("reply.response count > 4", _totals(ms=[5] * 10), True, "2.5 × the minimum"),
        ("reply.response count > 4", _totals(), False, "100 % below the minimum"),
        ("reply.refused rate < 1%", _refused(0), True, "0 % of the limit"),
        ("reply.refused rate <= 1%", _refused(10), True, "at the limit"),
        ("reply.refused rate < 1%", _refused(10), False, "at the limit"),
        ("reply.refused rate < 1%", _refused(727), False, "73 × the limit"),
        ("cable.dropped count <= 3", _dropped(3), True, "at the limit"),
        ("cable.dropped count <= 3", _dropped(4), False, "33 % over the limit"),
        ("cable.dropped count < 1000", _dropped(996), True, ">99 % of the limit"),
        ("cable.open last >= 50", _open(50.5), True, "1 % above the minimum"),
        ("cable.open last >= 1000", _open(999), False, "<1 % below the minimum"),
        ("cable.dropped count == 0", _dropped(0), True, ""),
        ("cable.dropped count == 0", _dropped(7), False, ""),
        ("cable.dropped count == 7", _dropped(7), True, ""),
        ("cable.dropped count != 7", _dropped(9), True, ""),
        ("cable.dropped count <= 0", _dropped(9), False, ""),
        ("cable.dropped count > 0", _dropped(9), True, ""),
    ],
)
def test_a_margin_reads_as_a_person_would_say_it(line, totals, passed, margin):
    """Of an upper bound so much is used, or it is passed by so much; a minimum is kept or missed. Exact demands and zero have none."""
    judged = parse(line).judge(totals)
    assert judged.passed is passed
    assert margin_text({"text": judged.text, "passed": judged.passed, "value": judged.value, "unit": judged.unit}) == margin


def test_replies_without_a_response_time_are_told_beside_the_percentiles(made):
    """On the page, in the text, in Markdown and in the console, by their ends."""
    it = made(build.FAULTY)
    lost, told = it.summary["replies"]["lost"], untimed(it.summary)
    assert told == f"{lost} replies are in no percentile: {lost} lost."
    assert it.summary["metrics"]["reply.response"]["count"] == it.summary["replies"]["accepted"] - lost
    for text in (page.render(it.run, it.summary), plain.text(it.run, it.summary), exports.markdown(it.run, it.summary)):
        assert text.index("response") < text.index(told)
    assert re.search(rf"^delivery .*\n  {re.escape(told)}$", Progress.closing(it.summary, Path()), re.MULTILINE)


def test_where_every_reply_was_timed_nothing_is_said(made):
    """No sentence about none; one about one is in the singular."""
    it = made(build.HEALTHY)
    for text in (it.html, plain.text(it.run, it.summary), exports.markdown(it.run, it.summary), Progress.closing(it.summary, Path())):
        assert "no percentile" not in text
    replies = it.summary["replies"] | {"recovered": 1}
    assert untimed(it.summary | {"replies": replies}) == "1 reply is in no percentile: 1 recovered."


def test_replies_without_an_end_are_no_doubt_of_the_generator() -> None:
    """Alone they say what they leave open; beside another doubt, something else may colour the numbers too."""
    reasons = [{"name": "reply.undetermined"}, {"name": "generator.lag_p99"}]
    told = [believed({"validity": {"state": "suspect", "reasons": some}}) for some in (reasons[:1], reasons)]
    assert [text.split()[0] for text in told] == ["What", "Something"]
