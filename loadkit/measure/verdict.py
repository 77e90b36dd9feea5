"""Thresholds, validity and how the run ended become one verdict and one exit code; the highest row that applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadkit.measure.recorder import Totals
from loadkit.measure.threshold import Judged
from loadkit.measure.validity import Validity

__all__ = ["EXIT_CODES", "Verdict", "pronounce", "requests_failed"]

EXIT_CODES = {"void": 4, "failed": 3, "regressed": 5, "interrupted": 130, "errors": 1, "passed": 0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of the words of EXIT_CODES, and its exit code."""

    word: str

    @property
    def exit_code(self) -> int:
        """The exit code that goes with the word."""
        return EXIT_CODES[self.word]


def pronounce(
    totals: Totals, validity: Validity, judged: Sequence[Judged], *, ended_by: str, at_once: bool = False, regressed: bool = False
) -> Verdict:
    """Return the verdict; `ended_by` is time, user, signal or crash. Who ended it at once did not wait for a judgement."""
    if at_once:
        return Verdict("interrupted")
    if validity.state == "void" or ended_by == "crash":
        return Verdict("void")
    if not all(threshold.passed for threshold in judged):
        return Verdict("failed")
    if regressed:
        return Verdict("regressed")
    if ended_by == "signal":
        return Verdict("interrupted")
    if not judged and requests_failed(totals):
        return Verdict("errors")
    return Verdict("passed")


def requests_failed(totals: Totals) -> int:
    """Return how many requests and replies failed: refused and lost replies, and failed requests of every route."""
    failed = sum(n for name, n in totals.counters.items() if name.startswith("http.") and name.endswith(".failed"))
    return failed + totals.reply("lost") + totals.counters.get("user.failed", 0) + _refused_elsewhere(totals)


def _refused_elsewhere(totals: Totals) -> int:
    """Return the refused replies that no failed request stands for: those that got no answer."""
    return max(0, totals.reply("refused") - totals.counters.get("http.agent.message.create.failed", 0))
