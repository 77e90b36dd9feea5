"""What an answer says before its body is looked at."""

from __future__ import annotations

import pytest

from loadkit.chat.answers import Answer, refusal
from loadkit.errors import AnswerError
from tests.chat.golden import body, exchange

RECORDED = [
    ("inbox.show", ""),
    ("agent.typing_on", ""),
    ("limit.ip_throttle.agent_reply", "throttled"),
    ("limit.conversation_flood.200", "flood"),
    ("message.create.too_long", "http_422"),
    ("contact.create.bad_email", "http_422"),
    ("agent.profile.bad_token", "http_401"),
    ("inbox.show.unknown", "http_404"),
    ("contact.create.hmac_wrong", "http_500"),
]


@pytest.mark.parametrize(("step", "kind"), RECORDED, ids=[step for step, _ in RECORDED])
def test_recorded_answers_have_their_kinds(step: str, kind: str) -> None:
    """The throttle and the flood limit are told apart from every other refusal."""
    response = exchange(step)["response"]
    content = b"" if response["body"] is None and "raw" not in response else body(step)
    assert refusal(response["status"], content) == kind


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (204, b"", ""),
        (299, b"Too many messages", ""),
        (302, b"", "http_302"),
        (400, b"Too many messages", "http_400"),
        (429, b"", "throttled"),
        (422, b"", "http_422"),
        (502, b"<html>Bad Gateway</html>", "http_502"),
        (599, b"\xff\xfe", "http_599"),
    ],
)
def test_kinds(status: int, content: bytes, kind: str) -> None:
    """The status decides; only a 422 is read."""
    assert refusal(status, content) == kind


def test_a_refusal_is_one_sentence() -> None:
    """Status, kind and the beginning of the body, whatever bytes it is of."""
    page = b"  <html>\xff" + b"x" * 500
    with pytest.raises(AnswerError) as caught:
        Answer(502, page, "", 0, 1).check("the agent's profile")
    assert (caught.value.status, caught.value.kind) == (502, "http_502")
    assert str(caught.value).startswith("the agent's profile answered 502: <html>")
    assert len(str(caught.value)) < 130


def test_a_refusal_without_a_body_ends_with_its_status() -> None:
    """Nothing is said about nothing."""
    with pytest.raises(AnswerError) as caught:
        Answer(503, b"", "", 0, 1).check("the inbox")
    assert str(caught.value) == "the inbox answered 503"


def test_a_2xx_passes() -> None:
    """What was taken raises nothing, body or not."""
    Answer(201, b"", "", 0, 1).check("the inbox")
