from __future__ import annotations

import pytest

from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import ErrorRow, Totals
from loadkit.measure.workers import WorkerTotals
from loadkit.report.advice import MOST_HINTS, PLACES, advice
from loadkit.results import summary
from loadkit.results.format import End, WorkerEnd
from loadkit.results.reader import Run
from tests.report import build


def _run(tmp_path, counters=None, latencies=None) -> Run:
    totals = Totals()
    totals.counters = {"reply.attempted": 1000, "reply.on_time": 1000, "question.asked": 1000} | (counters or {})
    for name, value_ms in (latencies or {}).items():
        totals.histograms[name] = histogram = Histogram()
        for _ in range(100):
            histogram.record(round(value_ms * 1000))
    return Run(tmp_path, build.header(build.HEALTHY, 0), totals, [], End(ended_by="time", seconds=60.0))


_SERVED = {"reply.response": 2900, "reply.delivery": 2900, "reply.post": 900, "clock.uncertainty": 20}


def _texts(run: Run) -> list[str]:
    return [hint.text for hint in advice(run, summary.summary_of(run))]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (build.HEALTHY, ["Nothing stands out."]),
        (build.SATURATED, ["waited to be sent", "after the deadline"]),
        (build.FAULTY, ["RACK_ATTACK_LIMIT", "never reached the customer", "60 cables ended", "after the deadline"]),
        (build.SUSPECT, ["generator itself could not keep up"]),
        (build.VOID, ["No agent attempted a reply"]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_run_is_told_what_to_look_at_next(made, plan, words):
    """The hints of the built runs, the gravest first, and nothing where nothing stands out."""
    it = made(plan)
    texts = [hint.text for hint in advice(it.run, it.summary)]
    assert len(texts) == len(words)
    for text, word in zip(texts, words, strict=True):
        assert word in text


@pytest.mark.parametrize(
    ("counters", "latencies", "word"),
    [
        ({"copies.owed": 9, "copies.seen": 7}, {}, "2 further copies never reached another session of a verified contact"),
        ({"reply.misrouted": 1}, {}, "1 reply appeared on another contact's cable"),
        ({"reply.on_time": 998, "reply.recovered": 2}, {}, "2 replies did not come by cable and were only read after a reconnect"),
        ({"reply.on_time": 999, "reply.lost": 1}, {}, "by their conversations"),
        ({"cable.deaf": 3}, {}, "3 cables were open and pinged and yet heard nothing"),
        ({}, {"reply.delivery": 2900, "reply.response": 2900, "reply.post": 55}, "background jobs"),
        ({}, {"reply.delivery": 1500, "reply.response": 1500, "reply.post": 1500}, "web processes or threads"),
        ({}, _SERVED | {"reply.before_save": 60, "reply.after_save": 2840}, "98 % of the time passed after the server had saved"),
        ({}, _SERVED | {"reply.before_save": 2800, "reply.after_save": 100}, "97 % of the time passed before the server had saved"),
        ({}, {"desk.wait": 4000}, "too few agents"),
        ({"reply.refused": 5, "reply.refused.flood": 5}, {}, "for a flood"),
        ({"reply.refused": 5, "reply.refused.http_502": 5}, {}, "refused 5 replies"),
        ({"cable.unconfirmed": 1}, {}, "1 subscription was not confirmed"),
        ({"question.unseen": 2}, {}, "2 questions did not show"),
        ({"reply.undetermined": 1}, {}, "longer --drain"),
        ({"http.contact.create.failed": 7}, {}, "7 requests of contact.create failed"),
        ({"schedule.dropped.cap_reached": 5}, {}, "5 arrivals found all the customers that -u allows"),
        ({"schedule.dropped.no_idle_user": 1}, {}, "1 arrival found no user ready"),
        ({"schedule.dropped.generator_late": 2}, {}, "more worker processes"),
        ({"schedule.dropped.worker_lost": 3}, {}, "3 arrivals of its share did not start"),
    ],
)
def test_each_rule_speaks_of_its_own_trouble(tmp_path, counters, latencies, word):
    """One trouble at a time gives exactly the hint that names it."""
    (text,) = _texts(_run(tmp_path, counters, latencies))
    assert word in text


def test_there_are_at_most_four_hints_and_the_gravest_come_first(tmp_path):
    """With everything wrong, a leak and a throttled harness are told before a late reply."""
    wrong = {"reply.misrouted": 1, "throttled": 9, "cable.deaf": 1, "reply.lost": 4, "cable.dropped": 2, "reply.late": 8}
    texts = _texts(_run(tmp_path, wrong))
    assert len(texts) == MOST_HINTS
    assert "another contact" in texts[0]
    assert "RACK_ATTACK_LIMIT" in texts[1]


def test_a_known_defect_is_told_as_the_servers(tmp_path):
    """However many met it: last of all, and not as what kept the agents from replying."""
    run = _run(tmp_path, {"http.contact.create.failed": 7})
    run.totals.errors = {("known_defect", "conversation.list"): ErrorRow("known_defect", "conversation.list", 120, 0, 0, "a defect: 500")}
    failed, met = _texts(run)
    assert "contact.create failed" in failed
    assert met == "120 requests met a defect: 500. It says nothing of the load, and counts as no failure."
    run.totals.counters |= {"reply.attempted": 0, "reply.on_time": 0}
    assert "Questions were asked and no agent attempted a reply" in _texts(run)[0]


def test_the_stop_is_no_trouble(tmp_path):
    """Arrivals that still waited when the run stopped need no advice."""
    assert _texts(_run(tmp_path, {"schedule.dropped.stopped": 2})) == ["Nothing stands out."]


def test_undetermined_replies_of_the_living_still_ask_for_a_longer_drain(tmp_path):
    """What a lost worker left is told apart from what a short drain left."""
    run = _run(tmp_path, {"reply.attempted": 1010, "reply.undetermined": 10})
    run.totals.workers[0] = lost = WorkerTotals()
    lost.attempted, lost.ended = 7, 0
    run.end.workers = [WorkerEnd(worker=0, name="a", state="lost")]
    assert any("before the end of 3 replies was known" in text for text in _texts(run))


def test_questions_that_nobody_answers_point_to_the_settings(tmp_path):
    """The hint's place is on the page."""
    run = _run(tmp_path, {"reply.attempted": 0, "reply.on_time": 0})
    (hint,) = advice(run, summary.summary_of(run))
    assert (hint.section, "tokens" in hint.text) == ("settings", True)
    assert hint.section in PLACES


def test_hints_point_to_places_that_have_a_name(made):
    """A hint's section is one that the page can name."""
    for plan in (build.FAULTY, build.SATURATED, build.VOID, build.SUSPECT, build.CRASHED, build.TWO_WORKERS, build.OPEN):
        it = made(plan)
        assert {hint.section for hint in advice(it.run, it.summary)} <= {"", *PLACES}
