"""What an HTTP answer says before its body is looked at: taken, or refused and how. Shared by the customer's and the agent's side."""

from __future__ import annotations

from dataclasses import dataclass

from loadkit.errors import AnswerError

__all__ = ["Answer", "refusal"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Stamps are monotonic µs: `sent_us` the line before the first byte left, `answered_us` after the last came."""

    status: int
    body: bytes
    request_id: str
    sent_us: int
    answered_us: int

    def check(self, where: str) -> None:
        """Raise AnswerError, with a sentence for a person, unless the answer is a 2xx."""
        if kind := refusal(self.status, self.body):
            start = self.body[:80].decode("utf-8", "replace").strip()
            raise AnswerError(self.status, kind, f"{where} answered {self.status}: {start}" if start else f"{where} answered {self.status}")


def refusal(status: int, body: bytes) -> str:
    """Return the kind of a refusing answer (`throttled`, `flood`, `http_502`, …), "" for a 2xx."""
    if 200 <= status < 300:
        return ""
    if status == 429:
        return "throttled"
    if status == 422 and b"Too many messages" in body:
        return "flood"
    return f"http_{status}"
