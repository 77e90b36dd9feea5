"""Ledger and truth, reply by reply: none missing, none twice, and each with the end and the marks that the server's doing gives it.

What a truth file cannot tell (the customers' own messages, and what they read over HTTP) is not held against the ledger.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from loadkit.results.deliveries import Delivery
from loadkit.results.truth import Told

__all__ = ["WRONGS", "Counts", "compare", "own_copies"]

WRONGS = {
    "missing": "in the ledger and not in the truth",
    "foreign": "in the truth and not in the ledger",
    "twice": "more than once in one of them",
    "message_id": "with another message id",
    "end": "with another end",
    "marks": "with other marks",
}
"""What can be wrong with a reply, and what it is then."""

MOST_EXAMPLES = 20
AT_ONCE_US = 20_000
"""What a server writes within this of the request, no later message of the customer's can have overtaken."""

BESIDE_US = 1_000_000
"""How far beyond the run's own stamps a line without a run's marker still belongs to the time of the run."""

STEM = re.compile("lk[0-9a-f]{8}")
"""What the marker of any run begins with, up to its first hyphen."""


@dataclass(slots=True)
class Counts:
    """How many replies were compared and what was wrong with how many, by the names of WRONGS.

    `refused_unseen` are refused replies of which the truth knows nothing: a proxy or a throttle may stand before the server.
    `set_aside` are lines of the truth that belong to other runs or times or have no marker; `faults` counts what was done on purpose.
    """

    compared: int = 0
    refused_unseen: int = 0
    set_aside: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WRONGS, 0))
    faults: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether something was compared and nothing was wrong."""
        return self.compared > 0 and not any(self.wrong.values())

    def note(self, kind: str, what: str) -> None:
        """Count a wrong reply, and keep the first few for a person to look up."""
        self.wrong[kind] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(what)

    def public(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return {
            "exact": self.exact,
            "compared": self.compared,
            "wrong": self.wrong,
            "refused_unseen": self.refused_unseen,
            "set_aside": self.set_aside,
            "faults": self.faults,
            "examples": self.examples,
        }


def own_copies(row: Delivery, told: Told) -> list[int]:
    """Return when the server wrote the reply to the customer who asked, in its own Unix microseconds."""
    return sorted(copy.unix_us for copy in told.copies if copy.to in (None, row.subscription))


def compare(rows: Sequence[Delivery], truth: Iterable[Told], *, deadline_us: int | None, offset_us: int = 0) -> Counts:
    """Hold a ledger against a truth. `deadline_us` parts on_time from late (None: unknown); `offset_us` is added to the truth's stamps."""
    counts = Counts()
    told: dict[str, Told] = {}
    ours = _once(rows, counts)
    belongs = _membership(rows)
    for line in truth:
        if not isinstance(line.marker, str) or (line.marker not in ours and not belongs(line)):
            counts.set_aside += 1
        elif line.marker not in ours:
            counts.note("foreign", f"{line.marker}: {WRONGS['foreign']}")
        elif line.marker in told:
            counts.note("twice", f"{line.marker}: more than once in the truth")
        else:
            told[line.marker] = line
    overtaken = _overtaken(ours, told)
    for marker, row in ours.items():
        if marker in told:
            _compare(row, told[marker], counts, marker in overtaken, deadline_us, offset_us)
        elif row.end == "refused":
            counts.refused_unseen += 1
        else:
            counts.note("missing", f"{marker}, {row.end}: {WRONGS['missing']}")
    counts.faults = dict(Counter(line.fault for line in told.values() if isinstance(line.fault, str)))
    return counts


def _once(rows: Iterable[Delivery], counts: Counts) -> dict[str, Delivery]:
    ours: dict[str, Delivery] = {}
    for row in rows:
        if row.marker in ours:
            counts.note("twice", f"{row.marker}: more than once in the ledger")
        ours.setdefault(row.marker, row)
    return ours


def _membership(rows: Sequence[Delivery]) -> Callable[[Told], bool]:
    """Return a test of whether a line of the truth belongs to this run: by its marker, or because it is no run's and happened meanwhile."""
    stems = {row.marker.partition("-")[0] for row in rows}
    stamps = [at for row in rows for at in (row.sent_us, row.answered_us, row.received_us) if at is not None]
    first, last = min(stamps, default=0) - BESIDE_US, max(stamps, default=0) + BESIDE_US

    def belongs(line: Told) -> bool:
        stem, at = str(line.marker).partition("-")[0], line.moment_us
        return stem in stems or (not STEM.fullmatch(stem) and (at is None or first <= at <= last))

    return belongs


def _overtaken(ours: dict[str, Delivery], told: dict[str, Told]) -> set[str]:
    """Return the markers of replies that were written after a reply of the same conversation with a higher message id."""
    written: dict[tuple[str, int], list[tuple[int, int, str]]] = defaultdict(list)
    for marker, line in told.items():
        row = ours[marker]
        copies, message_id = own_copies(row, line), row.message_id or line.message_id
        if copies and message_id is not None:
            written[row.subscription, row.conversation_id].append((copies[0], message_id, marker))
    overtaken = set()
    for replies in written.values():
        highest = 0
        for _, message_id, marker in sorted(replies):
            if message_id < highest:
                overtaken.add(marker)
            highest = max(highest, message_id)
    return overtaken


def _compare(row: Delivery, told: Told, counts: Counts, overtaken: bool, deadline_us: int | None, offset_us: int) -> None:
    counts.compared += 1
    if None not in (row.message_id, told.message_id) and row.message_id != told.message_id:
        counts.note("message_id", f"{row.marker}: message {row.message_id} in the ledger, {told.message_id} in the truth")
    copies = [at + offset_us for at in own_copies(row, told)]
    ends = _ends(row, told, copies, deadline_us)
    if row.end not in ends:
        counts.note("end", f"{row.marker}: {row.end} in the ledger, {' or '.join(sorted(ends))} by the truth")
    must, may = _marks(row, told, copies, overtaken)
    if not must <= row.marks <= must | may:
        marked, owed = ("+".join(sorted(marks)) or "no mark" for marks in (row.marks, must))
        counts.note("marks", f"{row.marker}: {marked} in the ledger, {owed} by the truth")


def _ends(row: Delivery, told: Told, copies: Sequence[int], deadline_us: int | None) -> set[str]:
    """Return the ends that agree with what the server did."""
    if copies:
        if deadline_us is None:
            return {"on_time", "late"}
        took = [copies[0] - row.due_us, *([row.received_us - row.due_us] if row.received_us is not None else [])]
        return {"on_time" if us <= deadline_us else "late" for us in took}
    if _refused(told):
        return {"refused"}
    if told.fault == "disconnect":  # a customer whose cable broke comes back and reads
        return {"recovered"}
    if told.status is None and told.message_id is None:  # its POST never came to an end
        return {"refused", "lost", "undetermined"}
    return {"lost", "recovered"}


def _refused(told: Told) -> bool:
    return isinstance(told.status, int) and not 200 <= told.status < 300


def _marks(row: Delivery, told: Told, copies: Sequence[int], overtaken: bool) -> tuple[set[str], set[str]]:
    """Return the marks that the reply must have, and those of which the truth says nothing."""
    must: set[str] = set()
    may: set[str] = set()
    if len(copies) > 1:
        must.add("duplicate")
    elif any(n > 1 for n in Counter(copy.to for copy in told.copies).values()):  # to another session, which may be the same contact's
        may.add("duplicate")
    if copies and _refused(told):
        must.add("unasked")
    if overtaken or (copies and told.fault == "swap"):
        must.add("out_of_order")
    elif told.fault in (UNSET, "delay") or not _at_once(told, copies):
        may.add("out_of_order")
    if told.fault == "misroute":
        must.add("misrouted")
    elif len(copies) < len(told.copies):  # another session may be one of the same contact's
        may.add("misrouted")
    return must, may


def _at_once(told: Told, copies: Sequence[int]) -> bool:
    return bool(copies and told.requested and told.copies[0].unix_us - told.requested.unix_us <= AT_ONCE_US)
