"""The workers of a run as the master sees them: who they are, who fell silent, and which of their intervals have come."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadkit import clock, units
from loadkit.measure.recorder import Interval
from loadkit.results.format import WorkerEnd

__all__ = ["LEFT", "LOST", "PRESENT", "UNABLE", "Fleet", "Member"]

PRESENT, LOST, LEFT, UNABLE = "present", "lost", "left", "unable"


@dataclass(slots=True)
class Member:
    """A worker: `next_seq` is the number of the interval that is due, `missed` how many never came."""

    id: str
    rank: int
    ready: bool = False
    state: str = PRESENT
    heard_us: int = 0
    since_us: int = 0
    reason: str = ""
    next_seq: int = 0
    missed: int = 0
    silences: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The host and the first digits of what Locust calls it."""
        host, _, number = self.id.rpartition("_")
        return f"{host}_{number[:6]}"

    @property
    def since(self) -> str:
        """When the state began, ISO 8601."""
        return units.iso(self.since_us, precision="seconds")


class Fleet:
    """Members by rank; ranks are never given twice."""

    def __init__(self, ids: list[str]) -> None:
        self.members: list[Member] = []
        for one in ids:
            self.join(one)

    @property
    def ids(self) -> list[str]:
        """The members' ids in the order of their ranks, those who are gone included."""
        return [member.id for member in self.members]

    @property
    def present(self) -> list[Member]:
        """Those who are neither lost nor gone."""
        return [member for member in self.members if member.state == PRESENT]

    def find(self, one: str) -> Member | None:
        """Return the member of an id."""
        return next((member for member in self.members if member.id == one), None)

    def hear(self, one: str) -> None:
        """Note a sign of life."""
        member = self.find(one)
        if member is not None:
            member.heard_us = clock.unix_us()

    def join(self, one: str) -> Member:
        """Give a newcomer the next rank; one who is known keeps the old."""
        member = self.find(one)
        if member is None:
            member = Member(one, len(self.members))
            self.members.append(member)
        return member

    def turn(self, member: Member, state: str, reason: str = "") -> None:
        """Note that a member is lost, since it was last heard, or that it left or is present again, now."""
        now_us = clock.unix_us()
        if member.state == LOST and state == PRESENT:
            member.silences.append(f"from {member.since} to {units.iso(now_us, precision='seconds')}")
        member.state, member.reason = state, reason
        member.since_us = member.heard_us if state == LOST and member.heard_us else now_us

    @staticmethod
    def takes(member: Member, interval: Interval) -> bool:
        """Whether an interval is new; numbers that were skipped count as missed, one that came before is not taken again."""
        if interval.seq < member.next_seq:
            return False
        member.missed += interval.seq - member.next_seq
        member.next_seq = interval.seq + 1
        return True

    def ends(self) -> list[WorkerEnd]:
        """Return what became of each."""
        return [
            WorkerEnd(
                worker=member.rank,
                name=member.name,
                state="finished" if member.state == PRESENT else member.state,
                since=member.since if member.state != PRESENT else "",
                reason=member.reason if member.state != PRESENT else "",
                silences=member.silences,
                missed=member.missed,
            )
            for member in self.members
        ]
