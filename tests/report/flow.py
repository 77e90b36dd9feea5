"""The arrivals of a built open model: four a second, dropped where a plan says so, done after ten seconds until the system falls behind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from loadkit.measure.recorder import Recorder

RATE, STAYS = 4, 10


@dataclass(frozen=True)
class Arrivals:
    """`drops` are (second, reason, how many); from second `slow_from` on only one customer a second gets done."""

    text: str = "poisson 4/s"
    drops: tuple[tuple[int, str, int], ...] = ()
    slow_from: int = 1_000_000
    lag_us: int = 2_000


class Flow:
    """Counts arrivals second by second and remembers who is inside."""

    def __init__(self, plan: Arrivals, seconds: int) -> None:
        self.plan, self.seconds = plan, seconds
        self.inside = 0
        self.started: list[int] = []

    def beat(self, second: int, recorder: Recorder) -> None:
        """Record a second: of the run while it lasts, of its stop in the second after it, nothing later."""
        if second >= self.seconds:
            recorder.count("iteration.cut", self.inside)
            self.inside = 0
            return
        dropped = Counter({reason: n for at, reason, n in self.plan.drops if at == second})
        recorder.count("schedule.offered", RATE)
        for reason, n in dropped.items():
            recorder.count("schedule.dropped", n)
            recorder.count(f"schedule.dropped.{reason}", n)
        self.started.append(RATE - dropped.total())
        recorder.count("schedule.started", self.started[-1])
        for _ in range(self.started[-1]):
            recorder.latency("schedule.lag", self.plan.lag_us)
        done = 1 if second >= self.plan.slow_from else self.started[second - STAYS] if second >= STAYS else 0
        recorder.count("iteration.finished", done)
        self.inside += self.started[-1] - done
