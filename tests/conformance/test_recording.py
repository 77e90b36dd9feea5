"""The sandbox recorded by the same walk as a real server, and the recordings held against each other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.compare import compare, differences, merged, shape
from tests.conformance.record import record
from tests.conformance.replay import GOLDEN, rows

KEYS = ["account_id", "admin_token", "agent_token", "agent2_token", "inbox", "hmac_inbox", "lock_inbox", "greeting_inbox"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The first line of a sandbox with the recording layout, and the recording that was made of it."""
    out = tmp_path_factory.mktemp("recording") / "sandbox.jsonl"
    command = [sys.executable, "-m", "loadkit", "sandbox", "--recording-layout", "--service", "none"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout
        line = json.loads(process.stdout.readline())
        record(line["host"], line, out, quiet_s=0.04, pings=1)
        yield line, rows(out)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_the_first_line_names_what_a_recorder_needs(recorded: tuple[dict[str, Any], Any]) -> None:
    """Tokens of three users, and of each of four inboxes what addresses and proves."""
    line = recorded[0]
    assert list(line)[4:] == KEYS
    assert [(inbox["id"], list(inbox)) for inbox in (line[key] for key in KEYS[4:])] == [
        (number, ["id", "identifier", "hmac_token"]) for number in (1, 2, 3, 4)
    ]


def test_the_sandbox_recorded_is_the_real_server_recorded(recorded: tuple[Any, list[dict[str, Any]]]) -> None:
    """Every answer and every event of every recorded step."""
    result = compare(rows(GOLDEN), recorded[1])
    assert result.found == []
    assert result.checks == 577


def test_a_locked_and_a_greeting_inbox_are_walked_through(recorded: tuple[Any, list[dict[str, Any]]]) -> None:
    """The same conversation comes back; a greeting follows the first message alone; a survey follows the end and is answered."""
    body = {row["step"]: row["response"]["body"] for row in recorded[1] if row["kind"] == "http"}
    made = [body[f"lock.conversation.{word}"] for word in ("create", "create_again", "create_resolved")]
    assert len({each["id"] for each in made}) == 1
    assert [each["message_type"] for each in body["csat.message.list"]] == [0, 3, 0, 3]
    assert body["csat.show.asked"]["csat_survey_response"] is None
    assert body["csat.update"]["csat_survey_response"] is None
    assert body["csat.show.answered"]["csat_survey_response"]["rating"] == 4


def test_a_comparison_sees_what_differs(recorded: tuple[Any, list[dict[str, Any]]]) -> None:
    """A status, a missing key, a frame too few, another type, a step that is not there: each is told."""
    spoilt = json.loads(json.dumps(recorded[1]))
    by_step = {row["step"]: row for row in spoilt if row["kind"] == "http"}
    by_step["contact.show"]["response"]["status"] = 500
    del by_step["conversation.show"]["response"]["body"]["uuid"]
    by_step["message.create.first"]["response"]["body"]["id"] = "7"
    late = next(row for row in spoilt if row["kind"] == "frame" and row["step"] == "agent.reply.second" and row["socket"] == "customer")
    kept = [row for row in spoilt if row is not late and row["step"] != "idle"]
    told = compare(rows(GOLDEN), kept).found
    assert [text.partition(":")[0] for text in told] == [
        *("contact.show", "conversation.show", "message.create.first", "agent.reply.second", "idle"),
    ]


def test_shapes_stand_for_many_values() -> None:
    """Elements of a list merge, what is null in one of them may be null, and an empty list agrees with every list."""
    rows_of = shape([{"a": 1, "b": None}, {"a": 2.5, "b": "x", "c": True}])
    assert rows_of == [{"a": "number", "b": "anything", "c": "bool"}]
    assert list(differences(rows_of, shape([]))) == []
    assert list(differences(shape({"a": 1}), shape({"a": [1]}))) == [".a is array, not number"]
    assert merged("null", "string") == "anything"
