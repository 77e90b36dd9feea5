"""The sandbox against the recorded traffic of a real OneHash Chat 4.2.0: every step, every answer, every event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from loadkit.sandbox import Sandbox
from tests.conformance.replay import GOLDEN, Played, Replay, Step, name_of, rows, steps
from tests.conformance.shapes import differences
from tests.sandbox.client import Customer, Reply, agent_path, ask, within_a_window

LIMITS = GOLDEN.with_name("onehash-4.2.0-limits.jsonl")
STEPS, LIMIT_STEPS = 82, 7
ON_PURPOSE: dict[str, str] = {}  # a step whose difference is wanted -> why
FIRST = {  # an event -> what of the same action may only come after it
    "message.created": {"conversation.updated", "contact.updated", "first.reply.created", "notification.created"},
    "conversation.created": {"assignee.changed", "notification.created"},
    "notification.created": {"notification.deleted"},
}
STATUS_STEPS = {"agent.resolve", "customer.resolve"}  # their message.created is an activity, which keeps no order


@pytest.fixture(scope="module")
def walk() -> dict[str, tuple[Step, Played]]:
    """The whole recording, played once."""
    recording = steps()
    sandbox = Sandbox(service="none", agents=1)
    sandbox.store.add_user("Noa Outside")
    with sandbox:
        replay = Replay(sandbox, recording)
        played = {step.name: (step, replay.play(step)) for step in recording}
        replay.close()
    return played


@pytest.fixture(scope="module")
def posted() -> frozenset[str]:
    """The message source ids that clients chose."""
    bodies = [row["request"]["body"] for step in steps() for row in step.done if row["kind"] == "http"]
    return frozenset(b["source_id"] for b in bodies if isinstance(b, dict) and b.get("source_id", "").startswith("lk-"))


def test_every_recorded_step_is_compared(walk: dict[str, tuple[Step, Played]], capsys: pytest.CaptureFixture[str]) -> None:
    """None of the recorded steps is left out, and at most five differ on purpose."""
    recorded = Counter(row["kind"] for path in (GOLDEN, LIMITS) for row in rows(path))
    limits = len({row["step"] for row in rows(LIMITS)})
    counted = f"{recorded['http']} answers, {recorded['frame']} frames with pings; {len(ON_PURPOSE)} differ on purpose"
    with capsys.disabled():
        print(f"\n{len(walk)} + {limits} recorded steps compared: {counted}")
    assert (len(walk), limits) == (STEPS, LIMIT_STEPS)
    assert len(ON_PURPOSE) <= 5


@pytest.mark.parametrize("name", [step.name for step in steps() if step.name not in ON_PURPOSE])
def test_a_step_is_answered_and_heard_as_recorded(name: str, walk: dict[str, tuple[Step, Played]], posted: frozenset[str]) -> None:
    """Status, content type, caching headers and body agree; so do the events of each socket and their payloads."""
    step, played = walk[name]
    recorded = [row["response"] for row in step.done if row["kind"] == "http"]
    found = [text for pair in zip(recorded, played.answers, strict=True) for text in _answer(*pair, posted)]
    found += [text for socket in step.heard.keys() | played.heard.keys() for text in _socket(step, played, socket, posted)]
    assert found == []


def test_causes_come_before_what_they_cause(walk: dict[str, tuple[Step, Played]]) -> None:
    """An action's own event precedes what follows from it, on every socket of every step."""
    for step, played in walk.values():
        for socket, frames in played.heard.items():
            names = [name_of(frame) for frame in frames]
            for number, name in enumerate(names):
                if name in FIRST and number == names.index(name) and step.name not in STATUS_STEPS:
                    assert not FIRST[name] & set(names[:number]), f"{step.name}, {socket}: {names}"


def test_a_welcome_is_always_first(walk: dict[str, tuple[Step, Played]]) -> None:
    """The first frame of each of the four recorded sockets is its welcome."""
    opened = [frames for step, played in walk.values() for frames in played.heard.values() if {"type": "welcome"} in frames]
    assert [frames[0] for frames in opened] == [{"type": "welcome"}] * 4


@pytest.fixture(scope="module")
def limits() -> dict[str, Reply]:
    """The steps of the second recording, played: a flood in one conversation, and two requests beyond the throttle."""
    played, flood = {}, "limit.conversation_flood."
    with Sandbox(service="none", throttle=1) as sandbox:
        customer = Customer(sandbox, connected=False)
        headers = {"Api-Access-Token": sandbox.agent_tokens[0]}
        for number in range(206):
            body = {"content": str(number), "echo_id": f"lim-{number}"}
            played[f"{flood}{number}"] = ask(sandbox.url, "POST", agent_path(customer), body, headers=headers)
        within_a_window()
        ask(sandbox.url, "GET", "/api", source="127.0.0.2")
        played["limit.ip_throttle"] = ask(sandbox.url, "GET", "/api", source="127.0.0.2")
        late = ask(sandbox.url, "POST", agent_path(customer), {"content": "x"}, headers=headers, source="127.0.0.2")
        played["limit.ip_throttle.agent_reply"] = late
    return played


@pytest.mark.parametrize("row", rows(LIMITS), ids=[row["step"] for row in rows(LIMITS)])
def test_a_limit_is_answered_as_recorded(row: dict[str, Any], limits: dict[str, Reply]) -> None:
    """The 200th message of a minute passes, the next is refused; so is every kind of request beyond the throttle, byte for byte."""
    recorded, answer = row["response"], limits[row["step"]]
    assert list(_answer(recorded, answer, frozenset())) == []
    for key in ("transfer-encoding", "content-length"):
        assert (key in recorded["headers"]) == (key in answer.headers)
    assert recorded["body"] is not None or answer.body.decode() == recorded["raw"]


def _answer(recorded: dict[str, Any], answer: Reply, posted: frozenset[str]) -> Iterator[str]:
    if answer.status != recorded["status"]:
        yield f"status {answer.status}, not {recorded['status']}"
        return
    for key in ("content-type", "cache-control", "vary"):
        left, right = recorded["headers"].get(key, ""), answer.headers.get(key, "")
        if left.lower() != right.lower():
            yield f"{key} is {right!r}, not {left!r}"
    if ("etag" in recorded["headers"]) != ("etag" in answer.headers):
        yield "an ETag too many or too few"
    if not {"x-request-id", "x-runtime"} <= answer.headers.keys():
        yield "no request id or no runtime"
    if recorded["body"] is None:
        if len(answer.body) != (wanted := recorded.get("bytes", len(recorded.get("raw") or ""))):
            yield f"{len(answer.body)} bytes, not {wanted}"
    elif answer.status != 200:
        if answer.json() != recorded["body"]:
            yield f"{answer.json()}, not {recorded['body']}"
    else:
        yield from differences(recorded["body"], answer.json(), "body", posted=posted)


def _socket(step: Step, played: Played, socket: str, posted: frozenset[str]) -> Iterator[str]:
    left, right = step.heard.get(socket, []), played.heard.get(socket, [])
    if Counter(map(name_of, left)) != Counter(map(name_of, right)):
        yield f"{socket} hears {Counter(map(name_of, right))}, not {Counter(map(name_of, left))}"
        return
    for name in set(map(name_of, left)):
        recorded, heard = ([f for f in frames if name_of(f) == name] for frames in (left, right))
        for number, (truth, other) in enumerate(zip(recorded, heard, strict=True)):
            yield from differences(truth, other, f"{socket} {name}[{number}]", posted=posted)
