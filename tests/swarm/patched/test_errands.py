"""What agents do besides replying: all of it in its order, and none of it in a reply's way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadkit import constant
from loadkit.swarm import Agent
from loadkit.swarm.errands import CONNECTIONS, DEEDS, MOST_AT_ONCE
from tests.chat.server import answer
from tests.support import eventually
from tests.swarm.patched.agent_api import AgentApi
from tests.swarm.patched.room import Prompt, Room

Make = Callable[..., Room]

BEFORE = ["show", "update_last_seen", "assignments", "toggle_typing_status"]
AFTER = ["toggle_typing_status", "note", "create_call", "end_call", "toggle_status", "conversations"]


class Busy(Agent):
    thinks = constant("0.2s")
    reads = types = assigns = notes = calls = resolves = lists = True


class Hasty(Busy):
    thinks = constant("0s")


def test_an_agent_who_does_nothing_besides_asks_for_nothing_besides(room: Make, api: AgentApi) -> None:
    """The default: no share is drawn, nothing is spawned."""
    assert not [deed for deed in DEEDS if getattr(Agent, deed)]
    one = room()
    agent = one.desk.agents[0]
    state = agent.random.getstate()
    question = one.ask()
    one.show(question)
    eventually(lambda: api.posted)
    assert (question.errand, api.done, agent.random.getstate()) == (None, [], state)


def test_everything_is_done_in_its_order(room: Make, api: AgentApi) -> None:
    """Reading, taking over and typing before the reply, the rest after it; each is counted and timed under its route's name."""
    one = room(Busy)
    one.show(one.ask())
    eventually(lambda: len(api.done) == len(BEFORE) + len(AFTER))
    eventually(lambda: not one.desk.errands.asking)
    assert [errand for errand, _ in api.done] == BEFORE + AFTER
    said = dict(api.done)
    assert said["assignments"] == {"assignee_id": 0}
    assert said["create_call"]["room_id"] == said["end_call"]["room_id"]
    assert [body["typing_status"] for errand, body in api.done if errand == "toggle_typing_status"] == ["on", "off"]
    assert api.looked == [7]
    assert (said["note"]["private"], "echo_id" in said["note"], "source_id" in said["note"]) == (True, False, False)
    timed = {name: histogram.count for name, histogram in one.recorder.cut().histograms.items() if name.startswith("http.")}
    assert timed.pop("http.agent.conversation.typing") == 2
    assert len(timed) == len(BEFORE) + len(AFTER)
    assert set(timed.values()) == {1}


def test_after_a_refused_reply_only_the_typing_ends(room: Make, api: AgentApi) -> None:
    """There is no message to call about, and nothing was settled."""
    api.take = lambda body: answer({"error": "later"}, "429 Too Many Requests")
    one = room(Busy)
    one.show(one.ask())
    eventually(lambda: len(api.done) == len(BEFORE) + 1)
    eventually(lambda: not one.desk.errands.asking)
    assert [errand for errand, _ in api.done] == [*BEFORE, "toggle_typing_status"]


def test_a_server_that_hangs_on_errands_holds_no_reply_back(room: Make, api: AgentApi) -> None:
    """An agent's errands have connections of their own, and those of further questions are left out; replies go on."""
    api.do = lambda errand: None
    one = room(Hasty, connections=1)
    for _ in range(MOST_AT_ONCE + 5):
        one.show(one.ask())
    eventually(lambda: len(api.posted) == MOST_AT_ONCE + 5)
    assert len(api.done) == CONNECTIONS
    assert one.counted("desk.errands_left_out") == 5
    eventually(lambda: one.counted("reply.attempted") == MOST_AT_ONCE + 5)
    one.end(patience=0.1)
    assert one.counted("http.agent.conversation.show.unanswered") == CONNECTIONS
    assert (one.desk.errands.asking, one.failures) == (0, [])


def test_after_the_stop_no_errand_begins(room: Make, api: AgentApi) -> None:
    """What is under way ends; the reply that is cancelled has no follow-up."""
    one = room(Busy)
    one.show(one.ask())
    eventually(lambda: len(api.done) == len(BEFORE))
    one.end()
    assert [errand for errand, _ in api.done] == BEFORE
    assert api.posted == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (answer({"error": "no"}, "401 Unauthorized"), "http_401"),
        (answer(b"<html>"), "not_json"),
        (answer({"other": 1}), "wrong_shape"),
        (answer(b"Retry later\n", "429 Too Many Requests"), "throttled"),
    ],
)
def test_an_errand_that_fails_is_counted_and_does_not_end_the_others(room: Make, api: AgentApi, content: bytes, kind: str) -> None:
    """By its kind, under its route; the agent goes on, and the reply too."""
    kinds: list[str] = []

    class Reader(Prompt):
        reads = notes = True

    api.do = lambda errand: content if errand == "show" else answer({"id": 1})
    one = room(Reader)
    one.show(one.ask())
    eventually(lambda: [errand for errand, _ in api.done] == ["show", "update_last_seen", "note"])
    eventually(lambda: not one.desk.errands.asking)
    interval = one.recorder.cut()
    kinds = [row.kind for row in interval.errors]
    assert (kinds, interval.counters["http.agent.conversation.show.failed"], len(api.posted)) == ([kind], 1, 1)
    one.counters |= interval.counters


def test_the_reply_itself_may_be_a_form_or_a_survey(room: Make, api: AgentApi) -> None:
    """One message, which carries the reply's marker."""
    taken: list[dict[str, object]] = []

    class Asking(Prompt):
        asks_form = True
        choices = ("A", "B")

    class Polling(Prompt):
        asks_rating = True

    def take(body: dict[str, object]) -> bytes:
        taken.append(body)
        return answer({"id": api.next_id()})

    api.take = take
    for agents in (Asking, Polling):
        one = room(agents)
        one.show(one.ask())
        eventually(lambda one=one: one.counted("reply.attempted") == 1 and not one.desk.is_busy)
    assert [body["content_type"] for body in taken] == ["input_select", "input_csat"]
    assert [item["title"] for item in taken[0]["content_attributes"]["items"]] == ["A", "B"]  # type: ignore[index]
    assert len(api.posted) == 2
