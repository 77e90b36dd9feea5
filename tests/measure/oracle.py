"""What became of a reply, told from the definitions alone: an account that shares nothing with the ledger but its inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadkit.measure.reply import Reply

DEADLINE_US, LOST_AFTER_US = 5_000_000, 30_000_000


@dataclass
class Account:
    """Everything that happened to one reply, in the words of the definitions."""

    reply: Reply
    message_id: int
    asked_by: str
    others: tuple[str, ...]
    due_us: int
    sent_us: int | None
    unreachable: bool = False
    refused_as: str = ""
    answered: bool = False
    answered_us: int | None = None
    without_answer: bool = False
    known_id: bool = False
    listed: str = ""
    shown: bool = False
    remembered: bool = False
    received_us: int | None = None
    copies: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    overdue: bool = False
    closed: bool = False

    @property
    def end(self) -> str | None:
        if self.received_us is not None:
            return "on_time" if self.received_us - self.due_us <= DEADLINE_US else "late"
        if self.unreachable or self.refused_as:
            return "refused"
        if self.known_id:
            if self.shown:
                return "recovered"
            if self.overdue:
                return "lost"
        elif self.listed == "absent":
            return "refused"
        elif self.listed == "unreadable":
            return "undetermined"
        return "undetermined" if self.closed else None

    @property
    def kind(self) -> str:
        """How it was refused."""
        return "unreachable" if self.unreachable else self.refused_as or "unanswered"

    @property
    def accepted(self) -> bool:
        return self.end not in (None, "refused")

    @property
    def owes(self) -> bool:
        """Whether its copies are counted: it was taken, as far as is known."""
        return self.accepted and self.end != "undetermined"

    @property
    def posting(self) -> bool:
        """Whether its POST may still be answered."""
        return self.sent_us is not None and not self.answered and not self.without_answer

    def lacks_copies(self, now_us: int) -> bool:
        """Whether copies are owed and may still come."""
        young = self.sent_us is not None and now_us < max(self.due_us, self.sent_us) + LOST_AFTER_US
        return self.accepted and young and not self.closed and len(self.copies) < len(self.others)

    def learn(self) -> None:
        self.known_id = True
        self.shown = self.shown or self.remembered

    def at(self, now_us: int) -> None:
        start = max(self.due_us, self.sent_us or self.due_us)
        if self.sent_us is not None and now_us >= start + LOST_AFTER_US and self.known_id:
            self.overdue = True


def ends_of(accounts: list[Account]) -> dict[str, int]:
    """Return how many replies came to each end, and how many have none."""
    ends: dict[str, int] = {}
    for account in accounts:
        ends[account.end or "pending"] = ends.get(account.end or "pending", 0) + 1
    return ends
