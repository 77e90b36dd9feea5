from __future__ import annotations

import pytest

from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import ErrorRow, Interval, Totals
from loadkit.measure.workers import WorkerTotals
from loadkit.report.advice import MOST_HINTS, PLACES, advice
from loadkit.results import summary
from loadkit.results.format import End, WorkerEnd
from loadkit.results.reader import Bin, Run
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
        (
            {"reply.on_time": 998, "reply.recovered": 2},
            {"cable.reconnect": 900},
            "2 replies did not come by cable and were only read after a",
        ),
        ({"reply.on_time": 998, "reply.recovered": 2, "cable.away": 1}, {}, "only read when the run ended, as 1 cable never came back"),
        ({"reply.on_time": 999, "reply.recovered": 1}, {}, "1 reply did not come by cable and was only read over HTTP"),
        ({"reply.on_time": 999, "reply.lost": 1}, {}, "by their conversations"),
        ({"cable.deaf": 3}, {}, "3 cables were open and pinged and yet heard nothing"),
        ({}, {"reply.delivery": 2900, "reply.response": 2900, "reply.post": 55}, "background jobs"),
        ({}, {"reply.delivery": 1500, "reply.response": 1500, "reply.post": 1500}, "web processes or threads"),
        ({}, _SERVED | {"reply.before_save": 60, "reply.after_save": 2840}, "98 % of the time passed after the server had saved"),
        ({}, _SERVED | {"reply.before_save": 2800, "reply.after_save": 100}, "97 % of the time passed before the server had saved"),
        ({}, {"desk.wait": 4000}, "too few agents"),
        ({"reply.refused": 5, "reply.refused.flood": 5}, {}, "for a flood"),
        ({"reply.refused": 5, "reply.refused.http_502": 5}, {}, "refused 5 replies"),
        ({"reply.refused": 6, "reply.refused.unreachable": 1}, {}, "refused 5 replies"),
        ({"cable.unconfirmed": 1}, {}, "1 subscription was not confirmed"),
        ({"question.unseen": 2}, {}, "2 questions did not show"),
        ({"reply.undetermined": 1}, {}, "longer --drain"),
        ({"reply.undetermined": 1, "reply.unread": 1}, {}, "1 reply stays undetermined: its POST got no answer, and the agent's message"),
        ({"reply.undetermined": 7, "reply.unread": 7}, {}, "7 replies stay undetermined: their POSTs got no answer"),
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


def test_both_reasons_of_undetermined_replies_are_told_apart(tmp_path):
    """A longer drain helps those whose end was still to come, and not those of which nobody could tell."""
    texts = _texts(_run(tmp_path, {"reply.undetermined": 7, "reply.unread": 4}))
    assert [text.split(":")[0] for text in texts] == [
        "The run ended before the end of 3 replies was known",
        "4 replies stay undetermined",
    ]


def _cut(tmp_path, *seconds, counters=None, latencies=None) -> Run:
    """A run of these seconds, one a bin: how many requests were answered, how many not, and what errors there were, as (kind, where, n)."""
    run = _run(tmp_path, counters, latencies)
    for second, (answered, unanswered, errors) in enumerate(seconds):
        start_us = second * 1_000_000
        histogram = Histogram()
        for _ in range(answered):
            histogram.record(50_000)
        rows = [ErrorRow(kind, where, n, start_us + 250_000, start_us + 750_000, _EXAMPLE) for kind, where, n in errors]
        failed = {f"http.message.create.{name}": unanswered for name in ("unanswered", "failed")} if unanswered else {}
        interval = Interval(second, 0, start_us, start_us + 1_000_000, failed, {}, {"http.message.create": histogram}, {}, rows)
        totals = Totals()
        totals.add(interval)
        run.bins.append(Bin(second, second + 1, totals))
        run.totals.add(interval)
    return run


_EXAMPLE = "[Errno 111] Connection refused"
_FINE, _IDLE = (5, 0, []), (0, 0, [])
_REFUSED = (0, 2, [("unreachable", "message.create", 2), ("reconnect_unreachable", "cable of a customer", 3)])
_HANGS = (0, 2, [("timeout", "message.create", 2), ("reconnect_timeout", "cable of a customer", 3)])
_FEW = {"desk.wait": 4000}


def test_a_target_that_is_gone_is_told_first_and_from_when_on(tmp_path):
    """How many requests and tries it did not take; and nobody says that the agents were too few, or that the server is slow."""
    capped = {"schedule.dropped.cap_reached": 5, "reply.refused": 4, "reply.refused.unreachable": 4}
    assert _texts(_cut(tmp_path, _FINE, _FINE, _REFUSED, _REFUSED, _IDLE, counters=capped, latencies=_FEW)) == [
        "From 2.25 s after the start on the target answered nothing more: 4 requests and 6 tries to open a cable could not reach it "
        "(Connection refused)."
    ]


def test_a_target_that_was_away_for_a_while_is_not_called_gone(tmp_path):
    """It answered again: then the agents may well have been too few; nor is the last moment of a run enough to call it gone."""
    for seconds in ((_FINE, _REFUSED, _REFUSED, _FINE), (_FINE, (5, 4, [(kind, where, 2 * n) for kind, where, n in _REFUSED[2]]))):
        texts = _texts(_cut(tmp_path, *seconds, latencies=_FEW))
        assert texts[0].startswith(
            "4 requests and 6 tries to open a cable could not reach the target (Connection refused): the first 1.25 s,"
        )
        assert "too few agents" in texts[1]
    one = (5, 1, [("unreachable", "message.create", 1)])
    assert "1 request could not reach the target" in _texts(_cut(tmp_path, one, _FINE))[0]


def test_a_target_that_fell_silent_is_told_first(tmp_path):
    """Nothing refused, nothing answered, and cables that heard nothing more."""
    texts = _texts(_cut(tmp_path, _FINE, _FINE, _IDLE, _HANGS, latencies=_FEW))
    assert texts == ["No answer came from the target later than 2 s after the start: 2 requests got none, and the cables fell silent."]
    assert _texts(_cut(tmp_path, _IDLE, _HANGS))[0].startswith("No answer came from the target: 2 requests")


def test_requests_that_hang_at_the_end_make_no_silence(tmp_path):
    """As long as the cables hear something."""
    texts = _texts(_cut(tmp_path, _FINE, _FINE, (0, 2, [("no_answer_until_the_end", "message.create", 2)]), latencies=_FEW))
    assert "too few agents" in texts[0]


def test_want_of_descriptors_is_told_as_the_generators(tmp_path):
    """However it shows, and not as what the target did."""
    run = _cut(tmp_path, _FINE, (5, 2, [("shortage", "message.create", 2), ("connect_shortage", "cable of a customer", 3)]))
    text = _texts(run)[0]
    assert text.startswith("The generator itself could not open 5 connections (Connection refused): raise its limit of open files")


@pytest.mark.parametrize(
    ("has_key", "words"),
    [
        (True, "contact.create was answered 500 and never taken: most likely the hmac_token of the target is not this inbox's key."),
        (False, "contact.create was answered 500 and never taken, and the target has no hmac_token: set it if the inbox demands HMAC."),
        (None, None),
    ],
)
def test_the_key_is_asked_for_only_where_there_is_none(tmp_path, has_key, words):
    """Whether the target had one stands in the header; where contacts were taken, or that is not known, the key is no suspect."""
    run = _run(tmp_path, {"reply.attempted": 0, "http.contact.create.failed": 7}, {})
    run.header.target = {} if has_key is None else {"hmac": has_key}
    run.totals.errors = {("http_500", "contact.create"): ErrorRow("http_500", "contact.create", 7, 0, 0, "500: {}")}
    run.totals.histograms["http.contact.create"] = answered = Histogram()
    for _ in range(7):
        answered.record(50_000)
    assert [text for text in _texts(run) if "hmac" in text] == ([words] if words else [])
    answered.record(50_000)
    assert not any("hmac" in text for text in _texts(run))


@pytest.mark.parametrize(
    ("counters", "slow", "few", "cap"),
    [
        ({}, False, "too few agents for this load; that wait is not the server's.", None),
        ({}, True, "more agents would only ask more of a server that does not keep up with these.", None),
        ({"schedule.dropped.cap_reached": 5}, False, "too few agents for this load", "for a free agent, which is not the server's doing."),
        ({"schedule.dropped.cap_reached": 5}, True, "more agents would only ask more", "the server is too slow for this rate of arrivals"),
    ],
)
def test_hints_about_agents_agree(tmp_path, counters, slow, few, cap):
    """Where the server keeps the replies waiting, nobody asks for more agents; where it does not, nobody calls it slow."""
    latencies = {"reply.response": 3000, "reply.delivery": 300, "reply.lag": 2700} if slow else {}
    texts = _texts(_run(tmp_path, counters, _FEW | latencies))
    assert [few in text for text in texts if "free agent" in text and "-u" not in text] == [True]
    assert [cap in text for text in texts if "-u" in text] == ([True] if cap else [])
    assert any("server answers too slowly" in text for text in texts) is slow
