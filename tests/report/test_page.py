from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from loadkit import units
from loadkit.measure.metrics import ENDS
from loadkit.report import page
from loadkit.results import reader, summary
from tests.report import build
from tests.report.reading import Element, parse

PLANS = (
    build.HEALTHY,
    build.SATURATED,
    build.FAULTY,
    build.SUSPECT,
    build.VOID,
    build.CRASHED,
    build.SHORT,
    build.TWO_WORKERS,
    build.OPEN,
    build.DAY,
)
by_name = pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)


def _numbers(element: Element) -> list[int]:
    return [int(re.sub(r"\D", "", bold.text)) for bold in element.all("b")]


@by_name
def test_the_sums_of_ends_stand_on_the_page_and_add_up(made, plan):
    """Attempted is accepted and refused, accepted is its ends: the page shows the summary's numbers and they add up."""
    it = made(plan)
    document, replies = parse(it.html), it.summary["replies"]
    attempted, accepted, refused = _numbers(document.by_id("attempted"))
    assert (attempted, accepted, refused) == (replies["attempted"], replies["accepted"], replies["refused"])
    whole, *ends = _numbers(document.by_id("accepted"))
    assert ends == [replies[end] for end in ENDS[1:]]
    assert attempted == accepted + refused
    assert whole == accepted == sum(ends)


@by_name
def test_verdict_validity_and_exit_code_are_in_the_banner(made, plan):
    """One banner says the word, the validity, why, and the exit code."""
    it = made(plan)
    (banner,) = parse(it.html).by_class("banner")
    for text in (it.summary["verdict"], it.summary["validity"]["state"], f"exit code {it.summary['exit_code']}"):
        assert text in banner.text
    assert banner.by_class("sentence")[0].text.endswith(".")


@by_name
def test_the_headline_shows_response_beside_delivery(made, plan):
    """Percentiles of both are the summary's, formatted; what is None is a dash, never a zero."""
    it = made(plan)
    rows = parse(it.html).by_class("headline")[0].rows()
    for name, row in zip(("response", "delivery"), rows, strict=True):
        metric = it.summary["metrics"][f"reply.{name}"]
        values = [metric[column] for column in ("p50", "p95", "p99", "p99.9", "max")]
        assert row == [name, *(units.seconds_text(None if value is None else value / 1000) for value in values)]


@by_name
def test_thresholds_stand_right_under_the_banner(made, plan):
    """Every threshold is there with its outcome; one without data did not pass and says why."""
    it = made(plan)
    rows = parse(it.html).by_class("thresholds")[0].rows()
    outcomes = ["✓ held" if row["passed"] else "✗ no data" if row["value"] is None else "✗ broken" for row in it.summary["thresholds"]]
    assert [(row[0], row[-1]) for row in rows] == [
        (row["text"], outcome) for row, outcome in zip(it.summary["thresholds"], outcomes, strict=True)
    ]


@by_name
def test_nothing_on_the_page_asks_the_network(made, plan):
    """Every reference is an anchor of the page or holds its data itself; styles import nothing."""
    document = parse(made(plan).html)
    for element in document.every():
        for name in ("src", "href", "action", "poster", "srcset"):
            reference = element.attributes.get(name)
            assert reference is None or reference.startswith(("#", "data:")), f"{element.tag} {name}={reference}"
    for style in document.all("style"):
        assert "url(" not in style.text
        assert "@import" not in style.text


@by_name
def test_every_anchor_that_is_pointed_to_exists(made, plan):
    """A hint's link leads somewhere."""
    document = parse(made(plan).html)
    anchors = {element.attributes.get("id") for element in document.every()}
    assert {link.attributes["href"].removeprefix("#") for link in document.all("a")} <= anchors


@by_name
def test_every_chart_has_a_caption_and_data(made, plan):
    """A chart is a figure with a title, data that parses, and a caption of at least a sentence."""
    for figure in parse(made(plan).html).all("figure"):
        (caption,) = figure.all("figcaption")
        assert len(caption.text) > 60
        assert caption.text.endswith(".")
        (script,) = figure.all("script")
        drawn = json.loads(script.text)
        assert drawn["data"]
        assert figure.all("h3")[0].text


def test_a_healthy_run_has_all_six_charts(made):
    """Response over time, ends, sockets, customers, the percentile curve and the legs: those of a closed model."""
    figures = parse(made(build.HEALTHY).html).all("figure")
    assert [figure.attributes["id"] for figure in figures] == ["over-time", "ends-over-time", "sockets", "customers", "curve", "legs"]


def test_text_from_outside_is_only_text(made):
    """An error's example, a setting and a note with markup in them stay text: no element and no script comes of it."""
    document = parse(made(build.FAULTY).html)
    assert len(document.all("script")) == 2 + len(document.all("figure"))
    cells = [cell.text for cell in document.by_class("errors")[0].all("td")]
    assert build.NASTY in cells
    assert not any("onerror" in element.attributes for element in document.every())


def test_names_with_markup_break_nothing(made):
    """A scenario, label, host, setting and note that close the script element leave the page whole."""
    run = made(build.SHORT).run
    evil = "</script></style></title><img src=x onerror=alert(1)>"
    header = replace_header(run.header, scenario=evil, label=evil, name=evil, notes=[evil], target={"host": evil}, settings={evil: evil})
    changed = replace_run(run, header)
    document = parse(page.render(changed, summary.summary_of(changed)))
    assert document.all("title")[0].text.endswith(evil)
    assert not document.all("img")


def replace_header(header, **changes):
    fields = {name: getattr(header, name) for name in header.__struct_fields__}
    return type(header)(**(fields | changes))


def replace_run(run, header):
    return type(run)(run.folder, header, run.totals, run.bins, run.end, run.events, run.undecided)


def test_a_void_run_draws_no_replies_and_says_so(made):
    """Where nothing was measured there is a sentence in the place of a chart, and no invented zero."""
    document = parse(made(build.VOID).html)
    assert [figure.attributes["id"] for figure in document.all("figure")] == ["sockets", "customers"]
    assert "No reply reached a customer" in document.by_id("time").text
    assert "http_401" in document.by_id("next").text


def test_a_crashed_run_is_void_and_counts_what_it_left_open(made):
    """The banner says that the process died; the replies without an end are undetermined, and the chart says that it lacks them."""
    it = made(build.CRASHED)
    document = parse(it.html)
    assert "process died" in document.by_class("banner")[0].text
    assert it.run.undecided == it.summary["replies"]["undetermined"] > 0
    assert f"Not drawn: {it.run.undecided}" in document.by_id("ends-over-time").all("figcaption")[0].text


def test_questions_that_a_dead_process_took_with_it_are_told(made):
    """What came to the desk adds up: answered, cancelled, not picked up, and of the others nothing is known."""
    it = made(build.CRASHED)
    told = it.summary | {"counters": it.summary["counters"] | {"desk.taken": it.summary["replies"]["attempted"] + 3, "desk.cancelled": 1}}
    assert "of 2 nothing more is known, as a process died" in parse(page.render(it.run, told)).by_id("headline").text
    assert "nothing more is known" not in made(build.HEALTHY).html


def test_a_suspect_run_shows_the_doubt_with_its_limit(made):
    """The state, the reason and the limit it was held against, the run's own limit rather than the default."""
    document = parse(made(build.SUSPECT).html)
    assert document.by_class("state")[0].text == "suspect"
    doubts = next(table for table in document.all("table") if table.all("th")[0].text == "doubt")
    assert [row[2] for row in doubts.rows()] == ["200 ms"]


def test_a_day_is_no_larger_than_three_hundred_bins(made):
    """The page of a day embeds binned series only: what stands beside plotly stays small."""
    document = parse(made(build.DAY).html)
    for figure in document.all("figure"):
        for trace in json.loads(figure.all("script")[0].text)["data"]:
            assert len(trace["x"]) <= 301
    plotly = max(document.all("script"), key=lambda script: len(script.text))
    assert len(made(build.DAY).html) - len(plotly.text) < 250_000


def test_lost_and_refused_replies_can_be_searched_in_a_log(made):
    """Each lost reply stands with its message and X-Request-Id; one that was found after all does not; refusals are counted by reason."""
    it = made(build.FAULTY)
    found = [event["marker"] for event in it.run.events if event["kind"] == "found"]
    open_ones = {e["request_id"] for e in it.run.events if e["kind"] == "lost" and e["marker"] not in found}
    document = parse(it.html)
    tables = {tuple(head.text for head in table.all("th")): table.rows() for table in document.by_id("replies").all("table")}
    lost = tables["due (UTC)", "lag", "POST", "conversation", "message", "agent", "X-Request-Id"]
    assert found
    assert {row[-1] for row in lost} == open_ones
    assert len(lost) == it.summary["replies"]["lost"]
    assert tables["reason", "replies", "X-Request-Id of one"][0][:2] == ["throttled", str(it.summary["replies"]["refused"])]


def test_http_frames_and_stamps_equal_the_summary(made):
    """Counts in the tables are the summary's."""
    it = made(build.FAULTY)
    document = parse(it.html)
    http = {row[0]: row for row in document.by_id("http").rows()}
    assert http["agent.message.create"][1] == str(it.summary["metrics"]["http.agent.message.create"]["count"])
    assert http["agent.message.create"][3] == str(it.summary["counters"]["http.agent.message.create.failed"])
    frames = {row[0]: row[1:] for row in document.by_id("frames").rows()}
    assert frames == {name: [units.count_text(row["count"]), units.count_text(row["bytes"])] for name, row in it.summary["frames"].items()}
    stamps = {row[0]: row[1:] for row in document.by_id("health").rows()}
    response = it.summary["metrics"]["reply.response"]
    assert stamps["reply.response"] == [str(response[quality]) for quality in ("exact", "bounded", "user_space")]


def test_other_thresholds_are_shown_in_place_of_the_runs_own(made):
    """A page judged again shows the lines it was judged by, in the table, the banner and the chart."""
    run = made(build.SATURATED).run
    html = page.render(run, summary.summary_of(run, thresholds=["reply.response p(50) < 1s"]))
    document = parse(html)
    assert [row[0] for row in document.by_class("thresholds")[0].rows()] == ["reply.response p(50) < 1s"]
    assert "p(50)" in document.by_class("sentence")[0].text
    assert "p(50) < 1 s" in [trace.get("name") for trace in json.loads(document.by_id("over-time").all("script")[0].text)["data"]]


def test_a_run_without_thresholds_says_so(tmp_path):
    """No threshold table, one sentence in its place."""
    folder = build.build(tmp_path, replace(build.SHORT, thresholds=()))
    run = reader.read(folder)
    document = parse(page.render(run, summary.summary_of(run)))
    assert not document.by_class("thresholds")
    assert "No thresholds were declared." in document.text
